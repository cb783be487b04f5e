#!/usr/bin/env bash
# Test with several processes: dist_test.sh CONFIG CHECKPOINT GPUS [flags of tools/test.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT are read from the environment.
set -euo pipefail

[[ $# -ge 3 ]] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [flags]" >&2; exit 2; }
TOOLS="$(cd "$(dirname "$0")" && pwd)"

PYTHONPATH="$TOOLS/../projects:${PYTHONPATH:-}" python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$3" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$TOOLS/test.py" "$1" "$2" --launcher pytorch "${@:4}"
