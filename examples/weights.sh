#!/bin/sh
# The training of the weights that umsn deblur takes, from pictures of faces to the file, in one command:
#
#     sh examples/weights.sh FACES OUT
#
# FACES holds the folders celebamask/ (images/ and labels/, of CelebAMask-HQ), ffhq/ and gan/ (pictures) and celeba/
# (aligned pictures, 178 x 218); OUT gets everything. Stopped half-way, the same command goes on. See docs/weights.md.
set -eu
export OMP_NUM_THREADS=1 # the bits of a training depend on how many threads share a sum
faces=${1:?"usage: sh examples/weights.sh FACES OUT"}
out=${2:?"usage: sh examples/weights.sh FACES OUT"}
here=$(dirname "$0")
python=${PYTHON:-python3}
iterations=${ITERATIONS:-3200} # of each stage
mkdir -p "$out"

# Pictures at several scales, for faces of several sizes; a tenth of the faces, by digest, is held out.
scaled() { # FOLDER SIDE PART
    [ -e "$out/faces/$3/$1-$2.done" ] && return
    "$python" "$here/scale_pictures.py" "$faces/$1" "$out/faces/$3/$1-$2" "$2" "$3"
    touch "$out/faces/$3/$1-$2.done"
}
parts() { # PART FOLDER-SIDE ...: the options --faces of these
    part=$1
    shift
    for name in "$@"; do printf -- '--faces folder:%s ' "$out/faces/$part/$name"; done
}
for side in 160 224 320; do scaled celebamask $side train; done
for side in 160 256; do scaled ffhq $side train && scaled gan $side train; done
scaled celeba 178 train
for name in celebamask ffhq gan celeba; do scaled $name 160 test; done

# Shakes of 13 to 29 pixels, as in the paper, and shorter ones, so that sharp pictures stay as they are.
blurgen make-kernels --count 25000 --out "$out/long.h5"
blurgen make-kernels --count 2500 --min-size 3 --max-size 11 --seed 1 --out "$out/short.h5"
"$python" - "$out" <<'PYTHON'
import sys, blurgen
from pathlib import Path
long, short = (blurgen.KernelBank.load(Path(sys.argv[1], name)) for name in ("long.h5", "short.h5"))
blurgen.KernelBank.joined([long, short]).save(Path(sys.argv[1], "kernels.h5"))
PYTHON
blurgen make-kernels --count 90 --seed 1000 --out "$out/held-out.h5"

# shellcheck disable=SC2046
blurgen build-dataset $(parts train celebamask-160 celebamask-224 celebamask-320 ffhq-160 ffhq-256 gan-160 gan-256 celeba-178) \
    --kernels "$out/kernels.h5" --per-image 200 --recipe-only --out "$out/data"
# shellcheck disable=SC2046
blurgen build-dataset $(parts test celebamask-160 ffhq-160 gan-160 celeba-160) \
    --kernels "$out/held-out.h5" --per-image 3 --recipe-only --out "$out/held-out"

train() {
    umsn train --shards "$out/data" --validate "$out/held-out" --out "$out/run" --preset compact --variant kernel-guided \
        --seed 0 --resume "$@"
}
train --stage kernel-estimator --iterations "$iterations"
train --stage kernel-guided --iterations "$iterations" --learning-rate 1.5e-3 --ema 0.998
umsn export-weights "$out/run/kernel-guided.safetensors" --out "$out/deblur.safetensors"
