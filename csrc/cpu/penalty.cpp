#include "ops/penalty.h"

#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "math/dot.h"

namespace fastcf {

template <class T>
double penalty(MatrixView<const T> rows, VectorView<const T> weights, int n_threads) {
    constexpr std::int64_t kRowsPerTask = 4096;
    check_penalty(rows, weights);
    std::vector<double> partial(static_cast<std::size_t>((rows.rows + kRowsPerTask - 1) / kRowsPerTask));
    parallel_chunks(rows.rows, kRowsPerTask, threads_for(rows.rows * (rows.cols / 8 + 1), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        double sum = 0.0;
                        for (std::int64_t r = begin; r < end; ++r)
                            sum += (weights.data == nullptr ? 1.0 : static_cast<double>(weights[r])) *
                                   squared_norm(rows.row(r), rows.cols);
                        partial[static_cast<std::size_t>(begin / kRowsPerTask)] = sum;
                    });
    return std::accumulate(partial.begin(), partial.end(), 0.0);
}

FASTCF_INSTANTIATE_PENALTY(float)
FASTCF_INSTANTIATE_PENALTY(double)

}  // namespace fastcf
