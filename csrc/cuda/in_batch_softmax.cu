#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/loss.h"
#include "ops/in_batch_softmax.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// One block per user. A row of n scores is read and written three times, from cache after the first: 8 n bytes of
// float32 to and from memory at the least, some 20 flops a score; bound by memory, on an H200 at most 600 G scores/s.
// 256 threads, 512 bytes of shared memory. Threads meet between passes, as each may read what another wrote.
// Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void in_batch_softmax_kernel(Global<T> scores, std::int64_t stride, std::int64_t n, Global<const std::int64_t> indptr,
                             Global<const std::int32_t> items, Global<const T> weights, Global<const T> offsets,
                             Global<T> kept, Global<double> costs) {
    FASTCF_SHARED(double, sums, kWarp);
    FASTCF_SHARED(T, values, kWarp);
    const T nothing = -static_cast<T>(__builtin_huge_valf());
    const std::int64_t u = blockIdx.x, begin = indptr[u], end = indptr[u + 1];
    const Global<T> row = scores + u * stride;
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t i = items[e];
        const T score = row[i];
        kept[e] = score;
        row[i] = nothing;
    }
    block_sync();
    T most = nothing;
    for (std::int64_t j = threadIdx.x; j < n; j += kThreads) {
        const T score = row[j], offset = offsets[j], value = score + offset;
        row[j] = value;
        most = value > most ? value : most;
    }
    most = block_max(most, values);
    const bool idle = begin == end || most == nothing;  // nothing chosen, or no alternative
    double sum = 0.0;
    for (std::int64_t j = threadIdx.x; j < n; j += kThreads) {
        const T value = row[j];
        const T power = idle ? T(0) : exp_of_negative(value - most);
        row[j] = power;
        sum += static_cast<double>(power);
    }
    sum = block_sum(sum, sums);
    const T rest = idle ? T(0) : most + static_cast<T>(log(sum));
    double cost = 0.0, taken = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        T weight = T(1);
        if (weights != nullptr) weight = weights[e];
        const T score = kept[e];
        T slope;
        const T loss = logistic_loss(score - rest, T(1), &slope);
        const T step = idle ? T(0) : weight * slope;
        kept[e] = step;
        cost += idle ? 0.0 : static_cast<double>(weight * loss);
        taken -= static_cast<double>(step);
    }
    cost = block_sum(cost, sums);
    taken = block_sum(taken, sums);
    const T share = idle ? T(0) : static_cast<T>(taken / sum);
    for (std::int64_t j = threadIdx.x; j < n; j += kThreads) {
        const T power = row[j];
        row[j] = power * share;
    }
    block_sync();
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t i = items[e];
        const T step = kept[e];
        row[i] = step;
    }
    if (threadIdx.x == 0) costs[u] = cost;
}

// One block adds a cost per user. Deterministic.
FASTCF_KERNEL(kThreads)
void add_costs_kernel(Global<const double> costs, std::int64_t n, Global<double> total) {
    FASTCF_SHARED(double, sums, kWarp);
    double sum = 0.0;
    for (std::int64_t u = threadIdx.x; u < n; u += kThreads) {
        const double cost = costs[u];
        sum += cost;
    }
    sum = block_sum(sum, sums);
    if (threadIdx.x == 0) {
        const double before = total[0];
        total[0] = before + sum;
    }
}

}  // namespace

template <class T>
void in_batch_softmax(MatrixView<T> scores, const BatchChoices<T>& choices, VectorView<const T> offsets, double* cost,
                      int) {
    check_in_batch_softmax(scores, offsets);
    if (scores.rows == 0) return;
    const InOut<T> slopes(scores);
    const In<std::int64_t> indptr(choices.indptr, scores.rows + 1);
    const In<std::int32_t> items(choices.items, choices.n);
    const In<T> weights(choices.weights, choices.n), shifts(offsets);
    const InOut<double> total(cost, 1);
    DeviceArray<T> kept(choices.n);
    DeviceArray<double> costs(scores.rows);
    FASTCF_LAUNCH(in_batch_softmax_kernel<T>, scores.rows, kThreads, 0, slopes.data(), scores.stride, scores.cols,
                  indptr.data(), items.data(), weights.data(), shifts.data(), kept.data(), costs.data());
    FASTCF_LAUNCH(add_costs_kernel, 1, kThreads, 0, costs.data(), scores.rows, total.data());
    slopes.finish();
    total.finish();
}

FASTCF_INSTANTIATE_IN_BATCH_SOFTMAX(float)
FASTCF_INSTANTIATE_IN_BATCH_SOFTMAX(double)

}  // namespace fastcf
