// Centres of the last layer's weights: what a column's output weights are before anything else is known of it, given
// which rows have an entry in it.
#pragma once

#include <cstdint>
#include <string>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "networks/all_ratings.h"
#include "networks/optimized.h"
#include "ops/spmm.h"

namespace fastcf {

// A column of n entries has the centre 1 / sqrt(n) times the sum of the effects (h,) of the rows that they are in: the
// side of SVD++ that inputs do not have (Koren, "Factorization meets the neighborhood", KDD 2008). What is penalised
// are the effects, and the differences between output weights and centres.
//
// A step of the effects needs all entries, so they take few: the gradients of output weights add up from step to step
// of the network, and a step of the effects follows the sum. Cost of a step: 2 h multiply-adds per entry. Memory: 20
// bytes per entry, and up to 5 (rows, h) and 2 (columns, h) of T.

inline constexpr double kEffectPenalty = 2;  // of an effect, in those of other weights
inline constexpr double kEffectRate = 0.1;   // a centre moves with all of its effects: whole steps would overshoot

template <class T>
class RatedCentres {
  public:
    RatedCentres() = default;
    // Copies the structure of all rows; effects are zero.
    RatedCentres(const CsrView& rows, std::int64_t width, OptimizerKind kind);

    bool empty() const { return effects_.cols == 0; }  // there are no centres
    const OptimizedRows<T>& effects() const { return effects_; }

    // Effects (rows, h) in host memory; null: zeros. Resets the optimiser's state and the sums.
    void upload(const T* effects, int n_threads);
    void download(T* effects) const { effects_.values.download(effects); }
    // Adds the centres of these columns to rows of a table, a row for each; `places` are 0, 1, 2, ….
    void add_to(MatrixView<T> table, VectorView<const std::int32_t> columns, const std::int64_t* places, int n_threads);

    // Adds the gradients of these columns' output weights, ascending, to the sums.
    void collect(VectorView<const std::int32_t> columns, const T* gradient, int n_threads);
    // The effects' gradient that the sums come to, (rows, h).
    const DeviceArray<T>& gradient(int n_threads);
    // The number-th step, along the sums of n_summed steps and as often the penalty in `optimizer`; clears the sums.
    void step(Optimizer optimizer, double learning_rate, std::int64_t n_summed, std::int64_t number, int n_threads);
    void forget_sums() { sums_.clear(); }

    void save_best(int n_threads) { effects_.save_best(n_threads); }
    void restore_best(int n_threads);
    void list_state(StateFields& fields, const std::string& name);  // between steps of the effects

  private:
    void refresh(int n_threads);

    AllRatings<T> entries_;  // their values: 1 / sqrt(n)
    OptimizedRows<T> effects_;
    DeviceArray<T> centres_, sums_, gradient_, ones_;
    bool stale_ = false;  // the effects may be newer than the centres: set before they change, for Ctrl-C
};

}  // namespace fastcf
