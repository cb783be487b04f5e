#!/usr/bin/env bash
# Test with several processes: dist_test.sh CONFIG CHECKPOINT GPUS [flags of tools/test.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT are read from the environment.
set -euo pipefail

[[ $# -ge 3 ]] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [flags]" >&2; exit 2; }
TOOLS="$(cd "$(dirname "$0")" && pwd)"
# On one machine torchrun finds a free port, so that a run beside another one starts.
MEETING=(--standalone)
if [[ -n "${PORT:-}" || "${NNODES:-1}" != 1 ]]; then
    MEETING=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi

export PYTHONPATH="$TOOLS/../projects:${PYTHONPATH:-}"
# In this shell's place, so that signals reach it.
exec python -m torch.distributed.run \
    "${MEETING[@]}" --nproc_per_node="$3" \
    "$TOOLS/test.py" "$1" "$2" --launcher pytorch "${@:4}"
