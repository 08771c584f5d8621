# One thing that is wrong in each block, or two.

variable "name" { type = string }

variable "mode" {
  type      = string
  sensitive = true
}

variable "address" {
  type      = string
  sensitive = true
}

# Its label is another one than it was, which takes a new volume.
resource "docker_volume" "data" {
  name   = "${var.name}-data"
  labels = { purpose = "other" }
}

resource "docker_volume" "etc" {
  name        = "${var.name}-etc"
  driver_opts = { type = "none", o = "bind", device = "/etc" }
}

resource "docker_network" "lab" {
  name = "${var.name}-lab"
}

resource "docker_image" "database" {
  name = "postgres:17"
}

resource "docker_container" "open" {
  name  = "${var.name}-open"
  image = docker_image.database.image_id

  ports {
    internal = 5432
  }
  ports {
    internal = 80
    ip       = "::"
  }
}

resource "docker_container" "all_ports" {
  name              = "${var.name}-all"
  image             = docker_image.database.image_id
  publish_all_ports = true
}

resource "docker_container" "rights" {
  name       = "${var.name}-rights"
  image      = docker_image.database.image_id
  privileged = true
  pid_mode   = "host"

  capabilities {
    add = ["SYS_ADMIN"]
  }
}

resource "docker_container" "folders" {
  name  = "${var.name}-folders"
  image = docker_image.database.image_id

  volumes {
    host_path      = "/var/run/docker.sock"
    container_path = "/var/run/docker.sock"
  }
  mounts {
    type   = "bind"
    source = "/home"
    target = "/home"
  }
}

resource "docker_container" "hidden" {
  name         = "${var.name}-hidden"
  image        = docker_image.database.image_id
  network_mode = var.mode

  ports {
    internal = 80
    ip       = var.address
  }

  # Where it is on the machine is known after the apply only.
  volumes {
    host_path      = docker_volume.data.mountpoint
    container_path = "/data"
  }
}

resource "ray_cluster" "pool" {
  name    = "${var.name}-pool"
  image   = "rayproject/ray:latest"
  network = docker_network.lab.name

  head {
    dashboard_port = 28265
    dashboard_ip   = "0.0.0.0"
  }

  worker_group "cpu" {
    replicas = 1

    volumes {
      host_path      = "/home"
      container_path = "/home"
    }
  }
}
