#!/usr/bin/env bash
# Train under Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are read from the environment.
set -euo pipefail

[[ $# -ge 4 ]] || { echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [flags]" >&2; exit 2; }
TOOLS="$(cd "$(dirname "$0")" && pwd)"
GPUS="${GPUS:-8}"
GPUS_PER_NODE="${GPUS_PER_NODE:-8}"

# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
PYTHONPATH="$TOOLS/../projects:${PYTHONPATH:-}" srun -p "$1" --job-name="$2" \
    --gres="gpu:$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$TOOLS/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
