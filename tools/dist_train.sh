#!/usr/bin/env bash
# Train with several processes: dist_train.sh CONFIG GPUS [flags of tools/train.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT are read from the environment.
set -euo pipefail

[[ $# -ge 2 ]] || { echo "usage: $0 CONFIG GPUS [flags]" >&2; exit 2; }
TOOLS="$(cd "$(dirname "$0")" && pwd)"
# On one machine torchrun finds a free port, so that a run beside another one starts.
MEETING=(--standalone)
if [[ -n "${PORT:-}" || "${NNODES:-1}" != 1 ]]; then
    MEETING=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi

# torchrun hands on SIGUSR1 as well, where it knows how to, and leaves time to save a checkpoint.
export PET_SIGNALS_TO_HANDLE="${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}"
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT="${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}"
export PYTHONPATH="$TOOLS/../projects:${PYTHONPATH:-}"
# In this shell's place, so that signals reach it.
exec python -m torch.distributed.run \
    "${MEETING[@]}" --nproc_per_node="$2" \
    "$TOOLS/train.py" "$1" --launcher pytorch "${@:3}"
