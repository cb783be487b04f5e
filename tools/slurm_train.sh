#!/usr/bin/env bash
# Train under Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are read from the environment.
#
# A job longer than its time limit goes on by itself, from a checkpoint saved 120 seconds before:
#   sbatch -p PARTITION --signal=B:USR1@120 --requeue --open-mode=append \
#       --gres=gpu:8 --ntasks-per-node=8 --cpus-per-task=5 \
#       --wrap 'exec bash tools/slurm_train.sh PARTITION ...'
set -euo pipefail

[[ $# -ge 4 ]] || { echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [flags]" >&2; exit 2; }
TOOLS="$(cd "$(dirname "$0")" && pwd)"
GPUS="${GPUS:-8}"
GPUS_PER_NODE="${GPUS_PER_NODE:-8}"
RESUME=()
[[ "${SLURM_RESTART_COUNT:-0}" -eq 0 ]] || RESUME=(--resume)

# In a process group of its own, so that Ctrl-C reaches it through the trap alone.
set -m
# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
PYTHONPATH="$TOOLS/../projects:${PYTHONPATH:-}" srun -p "$1" --job-name="$2" \
    --gres="gpu:$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$TOOLS/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}" \
    ${RESUME[@]+"${RESUME[@]}"} </dev/null &
SRUN=$!
# srun hands USR1 on to the processes; for TERM it would kill them, and INT it keeps to itself.
# A trap ends `wait` early.
ASKED=
for SIGNAL in USR1 TERM INT; do
    # shellcheck disable=SC2064
    trap "AGAIN=1 ASKED=\${ASKED:-$SIGNAL}; kill -USR1 $SRUN 2>/dev/null || true" "$SIGNAL"
done
AGAIN=1
while ((AGAIN)); do
    AGAIN=0 CODE=0
    wait "$SRUN" || CODE=$?
done

[[ -z $ASKED || $CODE -ne 138 ]] || CODE=$((128 + $(kill -l "$ASKED")))

# Ended by USR1 (138) or TERM (143), with a checkpoint; not where the job itself was canceled.
if [[ -n "${SLURM_JOB_ID:-}" && ($CODE -eq 138 || $CODE -eq 143) ]] &&
    scontrol show job "$SLURM_JOB_ID" | grep -q JobState=RUNNING; then
    echo "the job ended by a signal and is queued again; it goes on with --resume"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$CODE"
