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

# The same held-out faces, by the network just trained and by the weights that come with the package.
run blurgen export $out/test --to png --limit 6 --out $out/pictures
run umsn deblur $out/pictures/blurry --no-align --checkpoint $out/run/umsn.safetensors --out $out/sharp-quick
run umsn deblur $out/pictures/blurry --no-align --out $out/sharp

printf '\nLook at %s/kernels.png, %s/dataset.png, %s/result/report.html,\nand at %s/sharp beside %s/pictures\n' $out $out $out $out $out
