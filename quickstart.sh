#!/bin/sh
# The whole way on drawn faces: kernels, a class-isolated dataset, a short training, deblurred faces
# that no training saw. Each line printed after a $ is a command to try with your own settings.
set -eu
bin=$1
out=quickstart
rm -rf "$out"
mkdir "$out"

run() {
    printf '\n$ %s\n' "$*"
    "$bin/$@"
}

run blurgen make-kernels --count 2000 --out $out/kernels.h5 --preview $out/kernels.png
run blurgen build-dataset --faces procedural:300 --kernels $out/kernels.h5 --per-image 8 --class-isolated \
    --shard-size 600 --out $out/train
run blurgen preview $out/train --out $out/dataset.png

# Held out: other faces (seed 1), other kernels (seed 1).
run blurgen make-kernels --count 90 --seed 1 --out $out/test-kernels.h5
run blurgen build-dataset --faces procedural:24:1 --kernels $out/test-kernels.h5 --per-image 4 --seed 1 \
    --out $out/test

run umsn train --shards $out/train --out $out/run --preset quick
run umsn evaluate --checkpoint $out/run/umsn.safetensors --shards $out/test --out $out/result
run umsn report $out/result --run $out/run --kernels $out/kernels.h5

printf '\nLook at %s/kernels.png, %s/dataset.png, %s/result/figures and %s/result/report.html\n' $out $out $out $out
