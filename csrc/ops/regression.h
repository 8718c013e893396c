// One regression per row of a matrix of ratings, on known features of its columns: what a user thinks of items whose
// features are given. All rows in one call. No device has its own version: it runs on the host in every backend.
//
//     squared:  J(theta, b) = 1/2 sum_i w_i (x_i.theta + b - y_i)^2             + reg/2 |theta|^2
//     logistic: J(theta, b) = sum_i w_i (softplus(x_i.theta + b) - y_i (x_i.theta + b)) + reg/2 |theta|^2,  y in [0, 1]
//
// over the row's ratings of positive weight; the intercept b is not penalised. (Hoerl and Kennard 1970; Hastie,
// Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed., sections 3.4.1 and 4.4.1.)
//
// exact, squared: normal equations of the centred features by Cholesky, in the smaller of the two forms (n ratings, p
// features): p x p, or n x n where n < p. Where they are singular to working precision, a Jacobi SVD of the features
// gives the weights of least norm.
// exact, logistic: Newton's method with step halving; its linear systems in the smaller form likewise.
// gradient: full-batch gradient descent from zero weights with step 1/L, L a bound of the largest curvature. The same
// optimum; the number of passes grows with the condition of the features.
//
// A row without ratings gets weights 0 and intercept 0. A row whose labels are all 0 or all 1 has no logistic optimum
// when there is an intercept (it would go to infinity): it gets weights 0 and the intercept log((s + 1/2) / (t + 1/2)),
// s and t being its weights of ones and zeros (Haldane 1956).
//
// Float64; results are rounded to float32. Where there are 32 features or more, the matrix of the squared cost is
// formed and factorised in float32 and its solution corrected by residuals of float64 until it is as exact, and
// Newton's method takes its steps, though not the gradients that it ends by, in float32; a matrix of too bad a
// condition for that is done again in float64. With sparse features a row's problem has only the columns that its
// ratings touch: the others have weight 0 at the optimum. Cost per row: n p^2 + p^3 / 3 multiply-adds, or n^2 p + n^3 /
// 3 where n < p; times the number of iterations for logistic. Memory: (n + p) p doubles per thread. Rows are
// independent, so results are the same bits for any number of threads. Throws Interrupted between rows.
#pragma once

#include "core/view.h"

namespace fastcf {

enum class RegressionCost { squared, logistic };
enum class RegressionSolver { exact, gradient };

struct RegressionOptions {
    RegressionCost cost = RegressionCost::squared;
    RegressionSolver solver = RegressionSolver::exact;
    double reg = 1;  // above 0 for logistic
    bool intercept = true;
    int max_iterations = 100;  // of Newton's method or of gradient descent
    double tolerance = 1e-8;   // stop when |gradient| <= tolerance * |residuals at zero weights| * |features|
    int n_threads = 0;
};

struct RegressionReport {
    int iterations = 0;            // the most that a row took
    std::int64_t unconverged = 0;  // rows that reached max_iterations
};

// Features of the columns: dense (cols, f), or sparse with as many rows. The other one is left empty.
struct RegressionFeatures {
    MatrixView<const float> dense;
    CsrView sparse;
    bool is_sparse = false;

    std::int64_t rows() const { return is_sparse ? sparse.rows : dense.rows; }
    std::int64_t cols() const { return is_sparse ? sparse.cols : dense.cols; }
};

// Fills weights (rows, f) and intercept (rows). `sample_weights` (one per rating, not negative) may be empty. Features
// and ratings must be finite; callers see to that.
RegressionReport regress_rows(const CsrView& ratings, VectorView<const float> sample_weights,
                              const RegressionFeatures& features, const RegressionOptions& options,
                              MatrixView<float> weights, VectorView<float> intercept);

}  // namespace fastcf
