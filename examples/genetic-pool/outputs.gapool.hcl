output "dashboard_url" {
  description = "Ray's dashboard."
  value       = ray_cluster.pool.dashboard_url
}

output "head_address" {
  description = "Where a further node of the network would join."
  value       = ray_cluster.pool.address
}

output "head_container" {
  description = "Where to run a driver: docker exec -i HEAD python3 - < evolve.py"
  value       = ray_cluster.pool.head_container
}
