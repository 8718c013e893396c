#include "ops/feature_effects.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "math/als.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 64;
constexpr std::int64_t kFeaturesPerTask = 1024;
constexpr std::int64_t kColumnsPerTask = 1024;

// Four entries of a vector, which every instruction set has a register for.
using Quad = float __attribute__((vector_size(16)));

Quad load(const float* p) {
    Quad quad;
    std::memcpy(&quad, p, sizeof quad);
    return quad;
}

// The state of a row during the sweep over features: h and S of the contract, and by how much its vector has moved.
struct RowSums {
    Quad error{}, moved{}, curvature[kEffectBlock]{};
};

void check_featured(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals,
                    MatrixView<float> factors, VectorView<float> bias) {
    const char* caller = "feature_effects";
    const std::int64_t n = rows.ratings.rows, k = rows.column_factors.cols, d = k + (bias.empty() ? 0 : 1);
    const std::int64_t features = rows.features.rows;
    check(rows.column_factors.rows == rows.ratings.cols, caller, ": column_factors must have ", rows.ratings.cols,
          " rows; got ", rows.column_factors.rows);
    check(factors.rows == n && factors.cols == k, caller, ": factors must have shape (", n, ", ", k, "); got (",
          factors.rows, ", ", factors.cols, ")");
    check(bias.empty() || bias.size == n, caller, ": bias must have ", n, " entries; got ", bias.size);
    check(rows.features.cols == n && (rows.features.values != nullptr || rows.features.nnz() == 0), caller,
          ": features must have values and a column per row of the ratings (", n, "); got ", rows.features.cols);
    check(effects.rows == d && effects.cols == features, caller, ": effects must have shape (", d, ", ", features,
          "); got (", effects.rows, ", ", effects.cols, ")");
    check(rows.prior.rows == d && rows.prior.cols == d, caller, ": prior must have shape (", d, ", ", d, "); got (",
          rows.prior.rows, ", ", rows.prior.cols, ")");
    check(rows.noise.data == nullptr || (rows.noise.rows == d && rows.noise.cols == features), caller,
          ": noise must have shape (", d, ", ", features, "); got (", rows.noise.rows, ", ", rows.noise.cols, ")");
    check(residuals.size == rows.ratings.nnz(), caller, ": residuals must have ", rows.ratings.nnz(), " entries; got ",
          residuals.size);
    check(rows.weights.empty() || rows.weights.size == residuals.size, caller, ": weights must have ", residuals.size,
          " entries; got ", rows.weights.size);
    check(rows.precision > 0, caller, ": precision must be positive; got ", rows.precision);
}

// x = A^-1 right + R^-1 noise with A = R^T R; A is overwritten. Entries whose pivot is 0 to rounding become 0.
Quad drawn(Quad* a, Quad right, Quad noise) {
    Quad inverse{};
    const float diagonal[kEffectBlock] = {a[0][0], a[1][1], a[2][2], a[3][3]};
    for (int i = 0; i < kEffectBlock; ++i) {
        inverse[i] = a[i][i] > kSmallestPivot * diagonal[i] ? 1.0f / std::sqrt(a[i][i]) : 0.0f;
        a[i] *= inverse[i];
        right[i] *= inverse[i];
        for (int below = i + 1; below < kEffectBlock; ++below) {
            a[below] -= a[i][below] * a[i];
            right[below] -= a[i][below] * right[i];
        }
    }
    Quad x = right + noise;
    for (int i = kEffectBlock - 1; i >= 0; --i) {
        for (int after = i + 1; after < kEffectBlock; ++after) x[i] -= a[i][after] * x[after];
        x[i] *= inverse[i];
    }
    return x;
}

class Sweep {
  public:
    Sweep(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals, MatrixView<float> factors,
          VectorView<float> bias, int n_threads)
        : rows_(rows),
          effects_(effects),
          residuals_(residuals),
          factors_(factors),
          bias_(bias),
          n_threads_(threads_for(residuals.size * kEffectBlock, n_threads)),
          sums_(static_cast<std::size_t>(rows.ratings.rows)),
          columns_(rows.ratings.cols * 2 * kEffectBlock),
          pulls_(static_cast<std::size_t>(effects.cols)) {
        std::fill_n(columns_.data(), columns_.size(), 0.0f);
    }

    void run() {
        std::int64_t first = 0;
        for (; first < effects_.rows; first += kEffectBlock) {
            pass_rows(first);
            expect(first);
            draw(first);
        }
        pass_rows(first);
    }

  private:
    std::int64_t entries(std::int64_t first) const {
        return std::clamp<std::int64_t>(effects_.rows - first, 0, kEffectBlock);
    }

    // Puts this block of all augmented columns beside the one before.
    void gather_columns(std::int64_t first) {
        const MatrixView<const float>& table = rows_.column_factors;
        parallel_chunks(table.rows, kColumnsPerTask, n_threads_, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t c = begin; c < end; ++c) {
                float* const pair = columns_.data() + c * 2 * kEffectBlock;
                std::copy_n(pair + kEffectBlock, kEffectBlock, pair);
                for (std::int64_t i = 0; i < kEffectBlock; ++i) {
                    const std::int64_t f = first + i;
                    pair[kEffectBlock + i] = f < table.cols ? table.row(c)[f] : f < effects_.rows ? 1.0f : 0.0f;
                }
            }
        });
    }

    // Takes what the block before has moved out of the residuals, and sums up what this one sees of them.
    void pass_rows(std::int64_t first) {
        gather_columns(first);
        parallel_chunks(rows_.ratings.rows, kRowsPerTask, n_threads_, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t row = begin; row < end; ++row) {
                RowSums& sums = sums_[static_cast<std::size_t>(row)];
                for (std::int64_t f = first - kEffectBlock; f >= 0 && f < std::min(first, effects_.rows); ++f)
                    (f < factors_.cols ? factors_.row(row)[f] : bias_[row]) += sums.moved[f + kEffectBlock - first];
                sums = rows_.weights.empty() ? summed<false>(row, first, sums.moved)
                                             : summed<true>(row, first, sums.moved);
            }
        });
    }

    template <bool kWeighted>
    RowSums summed(std::int64_t row, std::int64_t first, Quad moved) const {
        const std::int32_t* const columns = rows_.ratings.indices;
        const float* const weights = rows_.weights.data;
        const bool more = first < effects_.rows;
        float* const residuals = residuals_.data;
        const std::int64_t end = rows_.ratings.indptr[row + 1];
        RowSums sums;
        for (std::int64_t e = rows_.ratings.indptr[row]; e < end; ++e) {
            const float* const column = columns_.data() + std::int64_t{columns[e]} * 2 * kEffectBlock;
            const Quad step = moved * load(column);
            const float left = residuals[e] - ((step[0] + step[1]) + (step[2] + step[3]));
            residuals[e] = left;
            if (!more) continue;
            const Quad now = load(column + kEffectBlock), weighted = kWeighted ? weights[e] * now : now;
            sums.error += weighted * left;
            for (int i = 0; i < kEffectBlock; ++i) sums.curvature[i] += weighted[i] * now;
        }
        const auto precision = static_cast<float>(rows_.precision);
        sums.error *= precision;
        for (Quad& line : sums.curvature) line *= precision;
        return sums;
    }

    // What the prior says of a block's entries, given the others.
    void expect(std::int64_t first) {
        const std::int64_t n = entries(first);
        parallel_chunks(effects_.cols, kFeaturesPerTask, n_threads_, [&](std::int64_t begin, std::int64_t end, int) {
            std::fill(pulls_.begin() + begin, pulls_.begin() + end, Quad{});
            for (std::int64_t g = 0; g < effects_.rows; ++g) {
                if (g >= first && g < first + n) continue;
                Quad share{};
                for (std::int64_t i = 0; i < n; ++i) share[i] = -rows_.prior.row(first + i)[g];
                const float* const other = effects_.row(g);
                for (std::int64_t j = begin; j < end; ++j) pulls_[static_cast<std::size_t>(j)] += share * other[j];
            }
        });
    }

    void draw(std::int64_t first) {
        const std::int64_t* const indptr = rows_.features.indptr;
        const std::int32_t* const indices = rows_.features.indices;
        const float* const values = rows_.features.values;
        const std::int64_t n = entries(first);
        RowSums* const rows = sums_.data();
        Quad prior[kEffectBlock]{};  // of entries behind the last: 1, so that they stay 0
        for (std::int64_t i = 0; i < kEffectBlock; ++i)
            for (std::int64_t g = 0; g < kEffectBlock; ++g)
                prior[i][g] = i < n && g < n ? rows_.prior.row(first + i)[first + g] : i == g ? 1.0f : 0.0f;
        for (std::int64_t j = 0; j < effects_.cols; ++j) {
            const std::int64_t begin = indptr[j], end = indptr[j + 1];
            Quad right = pulls_[static_cast<std::size_t>(j)], before{}, noise{}, a[kEffectBlock]{};
            for (std::int64_t e = begin; e < end; ++e) {
                const RowSums& sums = rows[indices[e]];
                const float value = values[e], square = value * value;
                right += value * sums.error;
                for (int i = 0; i < kEffectBlock; ++i) a[i] += square * sums.curvature[i];
            }
            for (std::int64_t i = 0; i < n; ++i) {
                before[i] = effects_.row(first + i)[j];
                if (rows_.noise.data != nullptr) noise[i] = rows_.noise.row(first + i)[j];
            }
            for (int i = 0; i < kEffectBlock; ++i) {
                right += before[i] * a[i];  // symmetric
                a[i] += prior[i];
            }
            const Quad now = drawn(a, right, noise), moved = now - before;
            for (std::int64_t i = 0; i < n; ++i) effects_.row(first + i)[j] = now[i];
            for (std::int64_t e = begin; e < end; ++e) {
                RowSums& sums = rows[indices[e]];
                const Quad step = values[e] * moved;
                sums.moved += step;
                for (int i = 0; i < kEffectBlock; ++i) sums.error -= step[i] * sums.curvature[i];
            }
        }
    }

    const FeaturedRows& rows_;
    MatrixView<float> effects_;
    VectorView<float> residuals_;
    MatrixView<float> factors_;
    VectorView<float> bias_;
    int n_threads_;
    std::vector<RowSums> sums_;
    AlignedBuffer<float> columns_;  // of each augmented column the block before and this one: eight floats in a row
    std::vector<Quad> pulls_;
};

}  // namespace

void feature_effects(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals,
                     MatrixView<float> factors, VectorView<float> bias, int n_threads) {
    check_featured(rows, effects, residuals, factors, bias);
    Sweep(rows, effects, residuals, factors, bias, n_threads).run();
}

}  // namespace fastcf
