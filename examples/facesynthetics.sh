#!/bin/sh
# All stages of the paper on rendered faces with exact labels (FaceSynthetics), then its Tables I, II, III (of other
# methods only Wiener and Richardson-Lucy), VI, VII and VIII, with files of yours IV and V (see below), and what it shows
# in Figs. 7 to 9, 11, 12 and 14 to 16, in one command:
#
#     sh examples/facesynthetics.sh FACES [UNLABELLED]
#
# FACES holds 000000.png, 000000_seg.png, 000000_ldmks.txt and so on; UNLABELLED, if given, pictures of faces without
# labels, which S-Net labels, as the paper does with CelebA. Stopped half-way, the same command goes on.
# From the environment, with what they are by default:
#   OUT=facesynthetics-example     where everything goes
#   ITERATIONS=1600                of each deblurring network; the other stages get the paper's shares of it
#   PRESET=quick                   size of the networks: quick, or another that umsn train has
#   TEST_FACES=6                   how many faces of the test part are used, each blurred by 16 kernels
#   UNLABELLED_SIDE=160            UNLABELLED is scaled to this short side; eyes are to be some 38 pixels apart
#   VGG_FACE=FILE                  weights of VGG-Face: without them there is no Table IV
#   EMBEDDER=FILE GALLERY=FOLDER   a face embedder (ONNX) and other pictures of the test persons, a sub-folder for each,
#                                  named as their render: without them there is no Table V
set -eu
faces=${1:?"usage: sh examples/facesynthetics.sh FACES [UNLABELLED]"}
unlabelled=${2:-}
here=$(dirname "$0")
out=${OUT:-facesynthetics-example}
iterations=${ITERATIONS:-1600}
preset=${PRESET:-quick}
test_faces=${TEST_FACES:-6}
mkdir -p "$out"

# The given percentage of ITERATIONS, rounded up: at least one.
share() {
    echo $(((iterations * $1 + 99) / 100))
}

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

train() {
    run umsn train --out "$out/run" --preset "$preset" --no-perceptual --resume "$@"
}

evaluate() {
    run umsn evaluate --references "$@"
}

set -- ${VGG_FACE:+--vgg-face "$VGG_FACE"}
[ -n "${EMBEDDER:-}" ] && set -- "$@" --embedder "$EMBEDDER" --gallery "${GALLERY:?}"
echo "Table IV needs VGG_FACE=FILE, Table V EMBEDDER=FILE and GALLERY=FOLDER in the environment; given here: ${*:-none}"

# Faces of the train part with 2,000 kernels; faces of the test part with 16 others: 8 sizes x 2.
run blurgen make-kernels --count 2000 --out "$out/kernels.h5"
run blurgen make-kernels --count 16 --min-size 13 --max-size 27 --seed 1 --out "$out/test-kernels.h5"
run blurgen build-dataset --faces "facesynthetics:$faces" --split train --limit 2000 --kernels "$out/kernels.h5" \
    --class-isolated --recipe-only --out "$out/labelled"
data=$out/labelled
run blurgen build-testset --faces "facesynthetics:$faces" --kernels "$out/test-kernels.h5" --face-count "$test_faces" \
    --per-size 2 --against "$data" --out "$out/test"
run blurgen audit "$data" "$out/test"
# One picture now, so that nothing is found missing only after all the training.
evaluate --testset "$out/test" --limit 1 --out "$out/check" "$@" > /dev/null

# Section IV-A: S-Net on clean and on blurry pictures, 60 % and 30 % of UMSN's iterations.
train --shards "$data" --stage segmentation --iterations "$(share 60)"
train --shards "$data" --stage segmentation-blurry --iterations "$(share 30)"

if [ -n "$unlabelled" ]; then
    run "${PYTHON:-python3}" "$here/scale_pictures.py" "$unlabelled" "$out/unlabelled" "${UNLABELLED_SIDE:-160}"
    printf '\n$ umsn segment %s ...\n' "$out/unlabelled"
    umsn segment "$out/unlabelled" --checkpoint "$out/run/segmentation.safetensors" --out "$out/labels" > /dev/null
    # The limit is of each source: up to 25,000 of the labelled faces too.
    data=$out/both
    run blurgen build-dataset --faces "facesynthetics:$faces" --faces "folder:$out/unlabelled" --labels "$out/labels" \
        --split train --limit 25000 --kernels "$out/kernels.h5" --class-isolated --recipe-only --out "$data"
    run blurgen build-testset --faces "folder:$out/unlabelled" --kernels "$out/test-kernels.h5" \
        --face-count "$test_faces" --per-size 2 --against "$data" --name unlabelled --out "$out/test-unlabelled"
fi

# The four first-stage networks, 50 %; then Table VI: five networks of one size, equal iterations.
train --shards "$data" --stage first-stage --iterations "$(share 50)"
for variant in bnet masks nested umsn-no-confidence; do
    train --shards "$data" --stage umsn --variant $variant --iterations "$iterations"
done
train --shards "$data" --stage umsn --iterations "$iterations" --keep-every "$(share 5)"

evaluate --checkpoint "$out/run/umsn.safetensors" --ablation "$out/run" --testset "$out/test" --out "$out/result" "$@"
run umsn report "$out/result" --run "$out/run" --kernels "$out/kernels.h5"
if [ -n "$unlabelled" ]; then
    evaluate --checkpoint "$out/run/umsn.safetensors" --ablation "$out/run" --testset "$out/test-unlabelled" \
        --out "$out/result-unlabelled"
    run umsn report "$out/result-unlabelled"
fi
printf '\nLook at %s/result/report.html and %s/result/figures\n' "$out" "$out"
