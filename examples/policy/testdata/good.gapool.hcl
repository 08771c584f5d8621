# What the policy has nothing against.

variable "name" { type = string }

resource "docker_volume" "data" {
  name = "${var.name}-data"
}

resource "docker_network" "lab" {
  name = "${var.name}-lab"
}

resource "docker_image" "database" {
  name = "postgres@sha256:4aea012537edfad80f98d870a36e6b90b4c09b27be7f4b4759d72db863baeebb"
}

resource "docker_container" "database" {
  name  = "${var.name}-database"
  image = docker_image.database.image_id

  ports {
    internal = 5432
    external = 25432
    ip       = "127.0.0.1"
  }

  # The engine chooses the other end.
  ports {
    internal = 9187
    ip       = "127.0.0.1"
  }

  volumes {
    volume_name    = docker_volume.data.name
    container_path = "/var/lib/postgresql/data"
  }

  capabilities {
    add = ["CAP_SYS_NICE"]
  }
}

resource "ray_cluster" "pool" {
  name    = "${var.name}-pool"
  image   = "sha256:3ce05c2a4b9dc0e5b2d23b9f3b2b0d3c8a0c3a4f2a9b6d6b4d2f1c9e8a7b6c5d"
  network = docker_network.lab.name

  head {
    dashboard_port = 28265
  }

  worker_group "cpu" {
    replicas = 2
  }
}
