// Least squares of least norm by one-sided Jacobi rotations (Hestenes 1958): accurate for small singular values, where
// the normal equations are not. Per sweep 3 n p min(n, p) multiply-adds; some ten sweeps.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/regression_problem.h"

namespace fastcf {

void least_norm(RegressionProblem& problem, const double* target, double reg) {
    const RegressionKernels& kernels = problem.kernels;
    const std::int64_t n = problem.n, p = problem.p;
    // Rows to be made orthogonal, each followed by what the rotations are applied to as well: with n < p the rows of A
    // and the target, else the rows of A' and of the identity.
    const bool by_ratings = n < p;
    const std::int64_t size = by_ratings ? n : p, length = by_ratings ? p : n;
    const std::int64_t width = RegressionProblem::padded(length + (by_ratings ? 1 : p));
    double* rows = problem.scratch(0, size * width);  // the callers keep nothing there
    std::fill_n(rows, size * width, 0.0);
    double total = 0;
    for (std::int64_t r = 0; r < n; ++r)
        for (std::int64_t j = 0; j < p; ++j) {
            const double value = problem.row(r)[j];
            rows[by_ratings ? r * width + j : j * width + r] = value;
            total += value * value;
        }
    for (std::int64_t i = 0; i < size; ++i) {
        if (by_ratings)
            rows[i * width + length] = target[i];
        else
            rows[i * width + length + i] = 1;
    }
    constexpr int kSweeps = 40;
    bool rotated = total > 0;
    for (int sweep = 0; rotated && sweep < kSweeps; ++sweep) {
        rotated = false;
        for (std::int64_t i = 0; i < size; ++i)
            for (std::int64_t j = i + 1; j < size; ++j) {
                double *a = rows + i * width, *b = rows + j * width;
                const double aa = kernels.dot(a, a, length), bb = kernels.dot(b, b, length);
                const double ab = kernels.dot(a, b, length);
                if (std::min(aa, bb) <= 1e-32 * total || std::abs(ab) <= 1e-15 * std::sqrt(aa * bb)) continue;
                rotated = true;
                const double zeta = (bb - aa) / (2 * ab);
                const double tangent = std::copysign(1.0, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
                const double cosine = 1 / std::sqrt(1 + tangent * tangent);
                kernels.rotate(a, b, width, cosine, cosine * tangent);
            }
    }
    double largest = 0;
    for (std::int64_t i = 0; i < size; ++i)
        largest = std::max(largest, kernels.dot(rows + i * width, rows + i * width, length));
    const double cut = static_cast<double>(std::max(n, p)) * std::numeric_limits<double>::epsilon();
    std::fill(problem.theta.begin(), problem.theta.end(), 0.0);
    for (std::int64_t i = 0; i < size; ++i) {
        const double* row = rows + i * width;
        const double square = kernels.dot(row, row, length);  // of the singular value
        if (square <= cut * cut * largest) continue;
        const double along = by_ratings ? row[length] : kernels.dot(row, target, length);
        const double* direction = by_ratings ? row : row + length;
        for (std::int64_t j = 0; j < p; ++j)
            problem.theta[static_cast<std::size_t>(j)] += along / (square + reg) * direction[j];
    }
}

}  // namespace fastcf
