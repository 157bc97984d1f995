"""RabbitMQ: what is known about it."""
