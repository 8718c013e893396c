#include "core/mix64.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/random.h"
#include "ops/random.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// 4 bytes written per number, 2 products of 64 bits and for normal ones 30 multiply-adds: bound by memory, on an H200
// at most 1200 G numbers/s. 256 threads, a word of random bits each, which makes two neighbouring numbers.
// Deterministic.
template <Distribution KIND>
FASTCF_KERNEL(kThreads)
void random_kernel(std::uint64_t key, float scale, Global<float> out, std::int64_t n) {
    const std::int64_t w = global_thread();
    if (2 * w >= n) return;
    const std::uint64_t word = random_word(key, static_cast<std::uint64_t>(w));
    const auto number = [&](std::uint64_t bits) {
        const float uniform = symmetric_uniform(static_cast<std::int32_t>(static_cast<std::uint32_t>(bits)));
        return scale * (KIND == Distribution::normal ? normal_quantile(uniform) : uniform);
    };
    out[2 * w] = number(word);
    if (2 * w + 1 < n) out[2 * w + 1] = number(word >> 32);
}

}  // namespace

void random_fill(Distribution distribution, std::uint64_t seed, std::uint64_t stream, float scale,
                 VectorView<float> out, int) {
    const Out<float> staged(out);
    const std::uint64_t key = random_key(seed, stream);
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, blocks_for(blocks_for(out.size, 2), kThreads), kThreads, 0, key, scale, staged.data(),
                      out.size);
    };
    if (distribution == Distribution::normal)
        launch(random_kernel<Distribution::normal>);
    else
        launch(random_kernel<Distribution::uniform>);
    staged.finish();
}

}  // namespace fastcf
