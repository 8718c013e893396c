#include "ops/factor_gram.h"

#include <algorithm>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/als_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kMostTasks = 64;      // each has a sum of k^2 float64
constexpr std::int64_t kRowsPerTask = 2048;  // at least
constexpr std::int64_t kAlign = 16;

// One thread's memory: the products of a chunk, and its rows packed.
struct Workspace {
    explicit Workspace(std::int64_t k)
        : stride((k + kAlign - 1) / kAlign * kAlign),
          packed(kAlsBlock * stride),
          weighted(kAlsBlock * stride),
          sums(2 * stride),
          products(stride * stride),
          columns(kAlsBlock) {}

    std::int64_t stride;
    AlignedBuffer<float> packed, weighted, sums, products;
    std::vector<const float*> columns;
};

}  // namespace

void factor_gram(MatrixView<const float> rows, MatrixView<double> gram, int n_threads) {
    check_factor_gram(rows, gram);
    const AlsKernels& kernels = FASTCF_SELECT_ISA(als_kernels);
    const std::int64_t n = rows.rows, k = rows.cols;
    const std::int64_t chunks = (n + kGramRows - 1) / kGramRows;
    const std::int64_t tasks = std::clamp<std::int64_t>(n / kRowsPerTask, 1, kMostTasks);
    const std::int64_t share = (chunks + tasks - 1) / tasks;
    const int threads = threads_for(n * k * std::max<std::int64_t>(k / 16, 1), n_threads);
    std::vector<Workspace> workspaces;
    for (int t = 0; t < threads; ++t) workspaces.emplace_back(k);
    std::vector<double> totals(static_cast<std::size_t>(tasks * k * k), 0.0);
    const std::vector<float> ones(static_cast<std::size_t>(kAlsBlock), 1.0f);
    parallel_for(tasks, threads, [&](std::int64_t task, int thread) {
        Workspace& work = workspaces[static_cast<std::size_t>(thread)];
        double* const total = totals.data() + task * k * k;
        for (std::int64_t chunk = task * share; chunk < std::min(chunks, (task + 1) * share); ++chunk) {
            std::fill_n(work.products.data(), work.stride * work.stride, 0.0f);
            const std::int64_t end = std::min(n, (chunk + 1) * kGramRows);
            for (std::int64_t first = chunk * kGramRows; first < end; first += kAlsBlock) {
                const std::int64_t count = std::min(kAlsBlock, end - first);
                for (std::int64_t r = 0; r < count; ++r)
                    work.columns[static_cast<std::size_t>(r)] = rows.row(first + r);
                std::fill_n(work.sums.data(), 2 * work.stride, 0.0f);
                kernels.pack(work.columns.data(), ones.data(), ones.data(), count, k, work.stride, work.packed.data(),
                             work.weighted.data(), work.sums.data(), work.sums.data() + work.stride);
                kernels.add_products(work.packed.data(), work.packed.data(), count, work.stride, work.products.data(),
                                     work.stride);
            }
            for (std::int64_t i = 0; i < k; ++i)
                for (std::int64_t j = i; j < k; ++j)
                    total[i * k + j] += static_cast<double>(work.products.data()[i * work.stride + j]);
        }
    });
    for (std::int64_t i = 0; i < k; ++i) {
        for (std::int64_t j = i; j < k; ++j) {
            double sum = 0.0;
            for (std::int64_t task = 0; task < tasks; ++task)
                sum += totals[static_cast<std::size_t>((task * k + i) * k + j)];
            gram.row(i)[j] = gram.row(j)[i] = sum;
        }
    }
}

}  // namespace fastcf
