#include "ops/feature_effects.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 64;
constexpr std::int64_t kFeaturesPerTask = 4096;

// What the sweep over features knows of a row: h and s of the contract, and what the features have moved it by.
struct RowSums {
    float error = 0, curvature = 0, moved = 0;
};

// The entries of a column, one after the other, those of the coordinate before beside them.
struct Entries {
    float before = 0, now = 0;
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

class Sweep {
  public:
    Sweep(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals, MatrixView<float> factors,
          VectorView<float> bias, int n_threads)
        : rows_(rows),
          effects_(effects),
          residuals_(residuals),
          factors_(factors),
          bias_(bias),
          n_threads_(threads_for(residuals.size, n_threads)),
          sums_(static_cast<std::size_t>(rows.ratings.rows)),
          entries_(static_cast<std::size_t>(rows.ratings.cols)),
          pull_(static_cast<std::size_t>(effects.cols)) {}

    void run() {
        for (std::int64_t f = 0; f <= effects_.rows; ++f) {
            place_entries(f);
            pass_rows(f);
            if (f == effects_.rows) return;
            expect(f);
            draw(f);
        }
    }

  private:
    void place_entries(std::int64_t f) {
        const MatrixView<const float>& table = rows_.column_factors;
        for (std::int64_t c = 0; c < table.rows; ++c) {
            Entries& entry = entries_[static_cast<std::size_t>(c)];
            entry.before = entry.now;
            entry.now = f < table.cols ? table.row(c)[f] : 1.0f;
        }
    }

    // Takes what coordinate f - 1 has moved out of the residuals, and sums up what coordinate f sees of them.
    void pass_rows(std::int64_t f) {
        const bool some = f > 0, more = f < effects_.rows;
        parallel_chunks(rows_.ratings.rows, kRowsPerTask, n_threads_, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t row = begin; row < end; ++row) {
                RowSums& sums = sums_[static_cast<std::size_t>(row)];
                if (some) (f - 1 < factors_.cols ? factors_.row(row)[f - 1] : bias_[row]) += sums.moved;
                sums = rows_.weights.empty() ? summed<false>(row, sums.moved) : summed<true>(row, sums.moved);
                if (!more) continue;
                sums.error *= static_cast<float>(rows_.precision);
                sums.curvature *= static_cast<float>(rows_.precision);
            }
        });
    }

    // Two sums at once, so that an addition need not wait for the one before.
    template <bool kWeighted>
    RowSums summed(std::int64_t row, float moved) const {
        const std::int32_t* const columns = rows_.ratings.indices;
        const float* const weights = rows_.weights.data;
        const Entries* const entries = entries_.data();
        float* const residuals = residuals_.data;
        const std::int64_t end = rows_.ratings.indptr[row + 1];
        float error[2] = {}, curvature[2] = {};
        const auto add = [&](std::int64_t e, int to) {
            const Entries entry = entries[columns[e]];
            const float left = residuals[e] - moved * entry.before;
            residuals[e] = left;
            const float weighted = kWeighted ? weights[e] * entry.now : entry.now;
            error[to] += weighted * left;
            curvature[to] += weighted * entry.now;
        };
        std::int64_t e = rows_.ratings.indptr[row];
        for (; e + 2 <= end; e += 2) {
            add(e, 0);
            add(e + 1, 1);
        }
        if (e < end) add(e, 0);
        return {error[0] + error[1], curvature[0] + curvature[1], 0.0f};
    }

    // What the prior expects of coordinate f from the others, times the precision that it has.
    void expect(std::int64_t f) {
        parallel_chunks(effects_.cols, kFeaturesPerTask, n_threads_, [&](std::int64_t begin, std::int64_t end, int) {
            std::fill(pull_.begin() + begin, pull_.begin() + end, 0.0f);
            for (std::int64_t g = 0; g < effects_.rows; ++g) {
                if (g == f) continue;
                const float share = -rows_.prior.row(f)[g];
                const float* const other = effects_.row(g);
                for (std::int64_t j = begin; j < end; ++j) pull_[static_cast<std::size_t>(j)] += share * other[j];
            }
        });
    }

    void draw(std::int64_t f) {
        const std::int64_t* const indptr = rows_.features.indptr;
        const std::int32_t* const indices = rows_.features.indices;
        const float* const values = rows_.features.values;
        const float* const noise = rows_.noise.data == nullptr ? nullptr : rows_.noise.row(f);
        const float own = rows_.prior.row(f)[f];
        float* const effects = effects_.row(f);
        RowSums* const rows = sums_.data();
        for (std::int64_t j = 0; j < effects_.cols; ++j) {
            const std::int64_t begin = indptr[j], end = indptr[j + 1];
            float error[2] = {}, curvature[2] = {};
            const auto add = [&](std::int64_t e, int to) {
                const RowSums& sums = rows[indices[e]];
                const float value = values[e];
                error[to] += value * sums.error;
                curvature[to] += value * value * sums.curvature;
            };
            std::int64_t e = begin;
            for (; e + 2 <= end; e += 2) {
                add(e, 0);
                add(e + 1, 1);
            }
            if (e < end) add(e, 0);
            const float seen = curvature[0] + curvature[1], precision = seen + own;
            float drawn = (error[0] + error[1] + seen * effects[j] + pull_[static_cast<std::size_t>(j)]) / precision;
            if (noise != nullptr) drawn += noise[j] / std::sqrt(precision);
            const float moved = drawn - effects[j];
            effects[j] = drawn;
            for (e = begin; e < end; ++e) {
                RowSums& sums = rows[indices[e]];
                const float step = values[e] * moved;
                sums.moved += step;
                sums.error -= step * sums.curvature;
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
    std::vector<Entries> entries_;
    std::vector<float> pull_;
};

}  // namespace

void feature_effects(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals,
                     MatrixView<float> factors, VectorView<float> bias, int n_threads) {
    check_featured(rows, effects, residuals, factors, bias);
    Sweep(rows, effects, residuals, factors, bias, n_threads).run();
}

}  // namespace fastcf
