#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/loss.h"
#include "ops/softmax.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// A block per row: three passes over its scores, which stay in the second-level cache for rows of a catalogue (4 bytes
// a score read and written once in memory, 8 in all): bound by memory, on an H200 at most 600 G scores/s; some 20 flops
// and integer operations a score. 256 threads, 256 bytes of shared memory. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void softmax_gradient_kernel(Global<const std::int64_t> indptr, Global<const std::int32_t> columns,
                             Global<const T> strengths, Global<const T> bias, double scale, std::int64_t cols,
                             std::int64_t stride, Global<T> scores, Global<double> costs) {
    FASTCF_SHARED(double, scratch, kWarp);
    FASTCF_SHARED(T, greatest, kWarp);
    const std::int64_t row = blockIdx.x, base = row * stride;
    const std::int64_t begin = indptr[row], end = indptr[row + 1];
    double total = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const T strength = strengths[e];
        total += static_cast<double>(strength);
    }
    total = block_sum(total, scratch);
    if (total == 0.0) {  // the same for all threads of the block
        for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) scores[base + c] = T(0);
        if (threadIdx.x == 0) costs[row] = 0.0;
        return;
    }
    T most = scores[base];
    if (bias != nullptr) most += bias[0];
    block_sync();  // before thread 0 writes there
    for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) {
        T s = scores[base + c];
        if (bias != nullptr) {
            s += bias[c];
            scores[base + c] = s;
        }
        most = s > most ? s : most;
    }
    most = block_max(most, greatest);
    double own = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t column = columns[e];
        const T s = scores[base + column], strength = strengths[e];
        own += static_cast<double>(strength) * static_cast<double>(s - most);
    }
    own = block_sum(own, scratch);  // all have read the scores before they are overwritten
    double sum = 0.0;
    for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) {
        const T s = scores[base + c];
        const T e = exp_of_negative(s - most);
        scores[base + c] = e;
        sum += static_cast<double>(e);
    }
    sum = block_sum(sum, scratch);
    const T factor = static_cast<T>(scale * total / sum);
    for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) scores[base + c] *= factor;
    block_sync();
    for (std::int64_t e = begin + threadIdx.x; e < end; e += kThreads) {
        const std::int32_t column = columns[e];
        const T strength = strengths[e];
        scores[base + column] -= static_cast<T>(scale) * strength;
    }
    if (threadIdx.x == 0) costs[row] = total * log(sum) - own;
}

// One block adds the costs of all rows: 8 bytes a row. Deterministic.
FASTCF_KERNEL(kThreads)
void add_costs_kernel(Global<const double> costs, std::int64_t n, Global<double> total) {
    FASTCF_SHARED(double, scratch, kWarp);
    double sum = 0.0;
    for (std::int64_t r = threadIdx.x; r < n; r += kThreads) sum += costs[r];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) total[0] += sum;
}

}  // namespace

template <class T>
void softmax_gradient(const ChosenRows<T>& chosen, VectorView<const T> bias, double scale, MatrixView<T> scores,
                      double* sum, int) {
    check_softmax_gradient(chosen, bias, scores);
    if (scores.rows == 0 || scores.cols == 0) return;
    const In<std::int64_t> indptr(chosen.indptr, chosen.rows + 1);
    const In<std::int32_t> columns(chosen.columns, chosen.n);
    const In<T> strengths(chosen.strengths, chosen.n), biases(bias);
    const InOut<T> values(scores);
    const InOut<double> total(sum, 1);
    DeviceArray<double> costs(scores.rows);
    FASTCF_LAUNCH(softmax_gradient_kernel<T>, scores.rows, kThreads, 0, indptr.data(), columns.data(), strengths.data(),
                  biases.data(), scale, scores.cols, scores.stride, values.data(), costs.data());
    FASTCF_LAUNCH(add_costs_kernel, 1, kThreads, 0, costs.data(), scores.rows, total.data());
    values.finish();
    total.finish();
}

FASTCF_INSTANTIATE_SOFTMAX(float)
FASTCF_INSTANTIATE_SOFTMAX(double)

}  // namespace fastcf
