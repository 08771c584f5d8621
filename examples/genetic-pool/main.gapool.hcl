# A pool of Ray workers that evaluate the individuals of a genetic algorithm.
# `make demo`, at the top of the project, brings it up and runs evolve.py on it.

gapool {
  stack = "genetic-pool"
}

resource "docker_image" "pool" {
  name = "${var.name}:${var.image_tag}"

  build {
    context = "./image"
    build_args = {
      BASE = var.base_image
    }
  }
}

resource "docker_network" "pool" {
  name = var.name
}

# What evolve.py finds is kept here. gapool deletes a volume only when it is
# told its name.
resource "docker_volume" "results" {
  name = "${var.name}-results"
}

resource "ray_cluster" "pool" {
  name    = var.name
  image   = docker_image.pool.image_id
  network = docker_network.pool.name

  # With num_cpus = 0, as it is by default, the head evaluates nothing.
  head {
    memory         = "1536m"
    dashboard_port = var.dashboard_port

    volumes {
      volume_name    = docker_volume.results.name
      container_path = "/results"
    }
  }

  worker_group "small" {
    replicas = var.workers
    num_cpus = 1
    memory   = "1g"
  }

  worker_group "large" {
    replicas = 1
    num_cpus = 2
    memory   = "1536m"
  }
}
