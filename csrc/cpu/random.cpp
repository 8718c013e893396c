#include "ops/random.h"

#include "core/mix64.h"
#include "core/parallel.h"
#include "cpu/random_kernels.h"

namespace fastcf {

void random_fill(Distribution distribution, std::uint64_t seed, std::uint64_t stream, float scale,
                 VectorView<float> out, int n_threads) {
    constexpr std::int64_t kPerTask = 1 << 16;  // even: a word makes two numbers
    const RandomKernels& kernels = FASTCF_SELECT_ISA(random_kernels);
    const auto fill = distribution == Distribution::normal ? kernels.normal : kernels.uniform;
    const std::uint64_t key = random_key(seed, stream);
    parallel_chunks(out.size, kPerTask, threads_for(out.size, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        fill(key, static_cast<std::uint64_t>(begin / 2), end - begin, scale, out.data + begin);
                    });
}

}  // namespace fastcf
