#!/bin/sh
# n8n, with the arguments given or none.
exec n8n "$@"
