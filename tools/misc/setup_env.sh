#!/usr/bin/env bash
# Makes the virtual environment of one stack from its lock, or returns at once if it is up to date.
#
#   tools/misc/setup_env.sh [onedl|openmmlab]
#
# PYTHON            the interpreter to build on (default: the first suitable one on PATH)
# MMTOKEN_WHEELS    where built mmcv wheels are kept (default: ~/.cache/mmtoken/wheels)
# MAX_JOBS          compilers run at once (default: one for each processor)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stack=${1:-onedl}
wheels=${MMTOKEN_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/mmtoken/wheels}
lock=requirements/lock-$stack.txt
compared=requirements/lock-transformers.txt
work='' # the folder of a build that is under way
trap 'exit 130' INT TERM

fail() {
    echo "error: $1" >&2
    exit 2
}

case $stack in
    onedl) venv=.venv mmcv_name=onedl-mmcv ;;
    openmmlab) venv=.venv-openmmlab mmcv_name=mmcv ;;
    *) fail "STACK is '$stack', expected onedl or openmmlab; run for example make env STACK=onedl" ;;
esac

suits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.10 to 3.13; name one that is"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail 'no Python 3.10 to 3.13 is on PATH; install one, or name it: make env PYTHON=/path/to/python'
}

pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$lock"; }

# What the environment was made from: the same text means that it is up to date.
fingerprint() {
    "$python" - "$lock" "$compared" setup.py tools/misc/setup_env.sh <<'PY'
import hashlib, pathlib, sys
place = f'{sys.version_info[:2]} {sys.base_prefix} {pathlib.Path.cwd()}'
digest = hashlib.sha256(place.encode())
for name in sys.argv[1:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PY
}

step() {
    step_started=$SECONDS
    printf '[%s] %s\n' "$1" "$2"
}

done_in() { printf '      done in %d s\n' $((SECONDS - step_started)); }

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

check_compiler() {
    local compiler=${CXX:-c++}
    command -v "$compiler" >/dev/null ||
        fail "no C++ compiler $compiler is on PATH, and mmcv must be compiled; install g++, or set CXX"
    printf '#include <compare>\nint main() { return (1 <=> 2) > 0; }\n' |
        "$compiler" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null ||
        fail "$compiler knows no C++20, which torch's headers need; install GCC 10, Clang 10 or later"
    "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())' ||
        fail "Python.h is missing for $python, and mmcv must be compiled; install python3-dev"
}

# Decides whether mmcv is built with CUDA: only if torch sees a GPU and there is an nvcc for it.
mmcv_device() {
    "$venv/bin/python" - <<'PY'
import logging
import pathlib
import torch
logging.disable()
from torch.utils.cpp_extension import CUDA_HOME
nvcc = CUDA_HOME and (pathlib.Path(CUDA_HOME) / 'bin' / 'nvcc').exists()
print(f'cu{torch.version.cuda}' if torch.cuda.is_available() and nvcc else 'cpu')
PY
}

# Where the wheel of this stack, torch, Python and platform is kept, but for its device.
wheel_folder() {
    "$python" -c 'import sys, sysconfig
platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
print(sys.argv[1] + "-cp%d%d-" % sys.version_info[:2] + platform)' \
        "$wheels/$stack-$(pinned "$mmcv_name")-torch$(pinned torch)"
}

# Reads a build log and says how far it is; awk would do, but some hold back what comes from a pipe.
show_progress() {
    while IFS= read -r line; do
        if [[ $line =~ ^\ *(\[[0-9]+/[0-9]+\]) ]]; then echo "      compiled ${BASH_REMATCH[1]}"; fi
    done
}

build_mmcv() {
    local version=$1 target=$2 device=$3
    check_compiler
    mkdir -p "$wheels"
    work=$(mktemp -d "$wheels/.build-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    pip download -q --no-deps --no-binary :all: --no-build-isolation -d "$work" "$mmcv_name==$version"
    tar -xzf "$work"/*.tar.gz -C "$work"
    rm "$work"/*.tar.gz
    local source
    source=$(echo "$work"/*mmcv-*)
    # mmcv asks for C++17; the headers of this torch are C++20.
    sed -i.bak 's/-std=c++17/-std=c++20/g' "$source/setup.py"
    [ "$device" != cpu ] || export CUDA_VISIBLE_DEVICES=''
    # pip's own cache does not know which torch a wheel was built against, hence --no-cache-dir.
    # CFLAGS replace those that Python was built with, whose debug symbols would treble the wheel.
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)} \
        CFLAGS=${CFLAGS:--O2 -g0 -DNDEBUG} CXXFLAGS=${CXXFLAGS:--O2 -g0 -DNDEBUG} \
        pip wheel -v --no-deps --no-build-isolation --no-cache-dir -w "$work/wheel" "$source" 2>&1 |
        tee "$work/log" | show_progress || {
        tail -n 20 "$work/log" | cut -c -300 >&2
        fail "$mmcv_name $version could not be compiled; the end of its log is above"
    }
    # A rename makes the wheel appear whole or not at all.
    [ -d "$target" ] || mv "$work/wheel" "$target"
    rm -rf "$work"
    trap - EXIT
}

install_mmcv() {
    local version device target
    version=$(pinned "$mmcv_name")
    device=$(mmcv_device)
    target=$(wheel_folder)-$device
    if [ -d "$target" ]; then
        step 3/5 "$mmcv_name $version, from $target (seconds)"
    else
        step 3/5 "$mmcv_name $version, compiled for $device (about 7 minutes on 2 processors, once)"
        build_mmcv "$version" "$target" "$device"
    fi
    pip install -q --no-deps "$target"/*.whl
    done_in
}

for file in "$lock" "$compared"; do
    [ -f "$file" ] || fail "$file is missing; restore it with git checkout $file"
done
python=$(find_python)
stamp=$(fingerprint)
if [ "$(cat "$venv/mmtoken.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "environment $venv ($stack) is up to date"
    exit 0
fi

compgen -G "$(wheel_folder)-*" >/dev/null || check_compiler
started=$SECONDS
echo "making $venv for $stack: about 3 minutes, and 7 more if mmcv must be compiled; 6 GB of disk"
step 1/5 "virtual environment on $("$python" --version) (seconds)"
rm -f "$venv/mmtoken.stamp"
"$python" -m venv --clear "$venv" ||
    fail "$python cannot make virtual environments; install its venv module (python3-venv)"
done_in

step 2/5 "torch $(pinned torch) (about 2 minutes, 3 GB to download)"
pip install -q --constraint "$lock" torch torchvision ninja psutil setuptools wheel
done_in

install_mmcv

step 4/5 'everything else in the lock (about 1 minute)'
grep -v "^$mmcv_name==" "$lock" | pip install -q --no-deps -r /dev/stdin
# The libraries require both builds of OpenCV, which share their files. The headless one goes last:
# the other needs libGL, which servers do not have.
pip install -q --no-deps --force-reinstall "opencv-python-headless==$(pinned opencv-python-headless)"
# Where they find transformers, mmengine, mmdet and mmpretrain import it at every start.
pip install -q --no-deps --target "$venv/transformers" -r "$compared"
done_in

step 5/5 'mmtoken itself, in development mode (seconds)'
pip install -q --no-deps --no-build-isolation -e .
"$venv/bin/python" tools/misc/check_env.py
done_in

echo "$stamp" >"$venv/mmtoken.stamp"
echo "environment $venv ready after $((SECONDS - started)) s; activate it with: source $venv/bin/activate"
