variable "name" {
  description = "Begins the names of all that is made, so that a second pool has its place beside the first."
  type        = string
  default     = "genetic-pool"
}

variable "workers" {
  description = "How many small workers evaluate."
  type        = number
  default     = 2

  validation {
    condition     = var.workers >= 1 && var.workers <= 16 && floor(var.workers) == var.workers
    error_message = "The pool has 1 to 16 small workers, and whole ones."
  }
}

variable "image_tag" {
  description = "Tag of the image that all members run."
  type        = string
  default     = "latest"

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag))
    error_message = "An image's tag has letters, digits, underscores, dots and dashes, 128 at most."
  }
}

variable "base_image" {
  description = "What the image is made from: Python 3.11 on Debian."
  type        = string
  default     = "python:3.11-slim-bookworm"
}

variable "dashboard_port" {
  description = "Port of this machine where Ray's dashboard answers, on 127.0.0.1 only."
  type        = number
  default     = 8265
}
