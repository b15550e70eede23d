#!/bin/sh
# Starts a tensorflow_model_server of this machine with the files beside this script.
#
#   experiments/serving/start_server.sh MODELS [OPTION...]
#
# MODELS is the folder in which `tinygan export` made tinygan/1. Options go to the server; ports come from
# GRPC_PORT (8500) and REST_PORT (8501). The server listens on every address of the machine: it has no option
# for one alone, so a firewall has to keep others out.
set -eu

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  echo "Got ${1:-no folder}. Expected the folder that holds tinygan/1, such as: $0 serving" >&2
  exit 2
fi
if ! command -v tensorflow_model_server >/dev/null; then
  echo "Got no tensorflow_model_server on the PATH. Install it, or use docker-compose.yml beside this." >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
models=$(cd "$1" && pwd)
shift

# The server wants absolute paths. It reads this file again every 10 seconds: labels are moved in it.
config="$models/models.config"
if [ ! -e "$config" ]; then
  escaped=$(printf '%s' "$models" | sed 's/[&|\\]/\\&/g')
  sed "s|\"/models/|\"$escaped/|" "$here/models.config" > "$config"
else
  sed -n 's/.*base_path: *"\([^"]*\)".*/\1/p' "$config" | while IFS= read -r folder; do
    if [ ! -d "$folder" ]; then
      echo "Got $folder in $config. Expected a folder. Has it moved? Fix that line, or delete the file." >&2
      exit 2
    fi
  done || exit 2
fi

# A second between tries to load a version, not a minute: meanwhile nothing else is loaded. Threads: with the
# default, 4 per core, gRPC requests are refused on machines with few cores.
exec tensorflow_model_server \
  --port="${GRPC_PORT:-8500}" \
  --rest_api_port="${REST_PORT:-8501}" \
  --model_config_file="$config" \
  --model_config_file_poll_wait_seconds=10 \
  --monitoring_config_file="$here/monitoring.config" \
  --allow_version_labels_for_unavailable_models=true \
  --load_retry_interval_micros=1000000 \
  --grpc_max_threads=64 \
  "$@"
