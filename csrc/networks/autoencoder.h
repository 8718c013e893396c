// The masked autoencoder: a network from a row's known ratings to all of its ratings. Its first and last
// layer touch only what is rated; what lies between is an Mlp.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "math/loss.h"
#include "networks/mlp.h"
#include "networks/optimized.h"
#include "networks/rated_centres.h"
#include "networks/row_batches.h"
#include "ops/optimizer.h"
#include "ops/spmm.h"

namespace fastcf {

// Sedhain, Menon, Sanner and Xie, "AutoRec: autoencoders meet collaborative filtering", WWW 2015; Kuchaiev and
// Ginsburg, "Training deep autoencoders for collaborative filtering", 2017 (SELU, tied weights, dropout, re-feeding).
struct AutoencoderConfig {
    std::int64_t n_columns = 0;
    std::vector<std::int64_t> layers;  // of the encoder; the decoder mirrors them
    Activation activation = Activation::selu;
    Activation output_activation = Activation::identity;
    bool tied = false;            // the decoder's weights are the encoder's, transposed
    double dropout = 0;           // of the encoder's layers
    bool alpha = false;           // alpha-dropout
    bool rated = false;           // there are weights for being rated at all
    bool penalised_bias = false;  // weight decay is the output biases', too
    // The logistic one takes outputs as log-odds, the multinomial one as logarithms of unnormalised probabilities: with
    // the identity at the end only.
    NetworkLoss loss = NetworkLoss::squared;
    double output_rate = 1;  // step size of the output weights, in that of the others
};

// Weights (n_columns, layers[0]) at both ends, output_weights with no rows where they are tied, rated_weights with none
// where there are none, and all between. Where output weights have centres, output_weights are their differences to
// these and rated_effects (rows, layers[0]) the effects; or rated_effects have no rows: uploaded, effects are 0,
// downloaded, output_weights are whole.
template <class T>
struct AutoencoderArrays {
    MatrixView<T> input_weights, output_weights, rated_weights, rated_effects;
    VectorView<T> output_bias;
    typename Mlp<T>::Arrays hidden;
};

// f(x) = g_out(H(x V + r W) U^T + c): V (n_columns, h) the input weights, r what is fed for being rated at all and W
// (n_columns, h) its weights, H the hidden layers, U (n_columns, h) and c the output weights. A row x is given by its
// stored entries; others count as 0, and so does r where a row is dense. Stored entries may have offsets: what is added
// to f(x) there, before g_out.
template <class T>
class Autoencoder {
  public:
    Autoencoder() = default;
    Autoencoder(const AutoencoderConfig& config, OptimizerKind kind);
    // Gives the output weights centres, which say what rows have an entry in a column (networks/rated_centres.h).
    // Batches must have places then. See check_rated_output.
    void centre_outputs(const CsrView& rows, OptimizerKind kind);

    void check_arrays(const AutoencoderArrays<T>& arrays, const char* caller) const;
    void upload(const AutoencoderArrays<T>& from, int n_threads);
    void download(const AutoencoderArrays<T>& to);
    // Whole gradients, also of rows that the last batch did not touch: zeros.
    void download_gradient(const AutoencoderArrays<T>& to, VectorView<const std::int32_t> touched_on_host,
                           int n_threads);

    std::int64_t width() const { return config_.layers.front(); }
    int depth() const { return hidden_.n_layers(); }                      // of the hidden layers
    int code() const { return static_cast<int>(config_.layers.size()); }  // how many of them encode

    // The hidden layers' values for the rows of a batch.
    MatrixView<const T> hidden(const RowBatch<T>& batch, const DropoutSeed& dropout, int n_threads);
    // f at stored entries, given the hidden values of their rows; offsets may be empty.
    void outputs(MatrixView<const T> hidden, const std::int64_t* indptr, const std::int32_t* columns, std::int64_t n,
                 VectorView<const T> offsets, T* out, int n_threads);
    // f at all columns.
    void dense_outputs(MatrixView<const T> hidden, MatrixView<T> out, int n_threads);

    // The gradient of 2 scale sum of w l(f(x), y) over a batch's ratings, l being the loss (math/loss.h: half the
    // squared error, or the logistic cost), at its touched rows, and of decay_c / 2 times the squared norm of each;
    // adds the sum to *loss. With the multinomial loss, of scale times the sum of -y_c log softmax(f(x) + shifts)_c
    // over the batch's entries, a softmax over its touched columns (ops/softmax.h), for which it must have places.
    // Touched rows must be up to date. Where there are centres, the gradient of output weights is collected for the
    // effects, too.
    void gradient(const RowBatch<T>& batch, double scale, const DropoutSeed& dropout, double* loss, int n_threads);
    // f(x) of the batch whose gradient was last worked out, at all columns: before its step.
    void last_dense_outputs(MatrixView<T> out, int n_threads) { dense_outputs(hidden_values_, out, n_threads); }
    // The gradient of scale |f(x) - x|^2 over a dense x, at all rows, x on the right being a constant; `out` receives
    // f(x). Adds half of |f(x) - x|^2 to *loss.
    void dense_gradient(MatrixView<const T> x, MatrixView<T> out, double scale, const DropoutSeed& dropout,
                        double* loss, int n_threads);

    // Brings rows of the ends up to date; takes a step with the last gradient, by an optimiser for the rows of the ends
    // and one for what lies between; brings all rows up to date.
    void catch_up(const Optimizer& optimizer, std::int64_t step, VectorView<const std::int32_t> rows, int n_threads);
    void step(const Optimizer& rows_optimizer, const Optimizer& optimizer, double learning_rate, std::int64_t number,
              VectorView<const std::int32_t> rows, int n_threads);
    void flush(const Optimizer& optimizer, std::int64_t step, int n_threads);
    RatedCentres<T>& centres() { return centres_; }
    VectorView<const std::int32_t> all_rows() const { return {all_rows_.data(), all_rows_.size()}; }

    double squared_norm(int n_threads) const;  // of all that is penalised, by its penalties
    void save_best(int n_threads);
    void restore_best(int n_threads);
    void list_state(StateFields& fields);

  private:
    // Rows of the last layer, and their biases.
    struct LastLayer {
        MatrixView<const T> table;
        VectorView<const T> bias;
    };
    LastLayer last_layer() const;  // of all columns; with centres, as they were when all rows were last up to date
    LastLayer last_layer(const RowBatch<T>& batch, int n_threads);  // of touched columns, side by side
    void outputs(MatrixView<const T> hidden, const LastLayer& last, const std::int64_t* indptr,
                 const std::int32_t* columns, std::int64_t n, VectorView<const T> offsets, T* out, int n_threads);
    // From the hidden values to the gradient of them and that of the last layer, of losses by entry and by row; adds
    // the losses' sum. The gradient of the last layer's weights has begun where `begun` is set.
    void sampled_outputs(const RowBatch<T>& batch, double scale, double* loss, MatrixView<T> hidden_gradient,
                         MatrixView<T> output_gradient, bool begun, int n_threads);
    void softmax_outputs(const RowBatch<T>& batch, double scale, double* loss, MatrixView<T> hidden_gradient,
                         MatrixView<T> output_gradient, bool begun, int n_threads);
    Optimizer bias_optimizer(Optimizer optimizer) const;
    std::vector<OptimizedRows<T>*> tables();  // that there are, but for the output biases
    const OptimizedRows<T>& output_table() const { return config_.tied ? input_ : output_; }
    bool penalty_gradient(const RowBatch<T>& batch, const OptimizedRows<T>& table, MatrixView<T> gradient, bool begun,
                          int n_threads);
    MatrixView<T> sized(DeviceArray<T>& array, std::int64_t rows, std::int64_t cols);

    AutoencoderConfig config_;
    OptimizedRows<T> input_, output_, rated_, output_bias_;
    RatedCentres<T> centres_;
    DeviceArray<T> whole_;  // output weights with their centres
    Mlp<T> hidden_;
    DeviceArray<std::int32_t> all_rows_;
    DeviceArray<std::int64_t> places_;  // 0, 1, 2, …: rows of one entry each
    // Of the last batch.
    DeviceArray<T> table_, biases_;  // the last layer's touched rows
    DeviceArray<T> products_, predicted_, slopes_, hidden_gradient_, input_gradient_, output_gradient_, rated_gradient_,
        bias_gradient_;
    bool fed_rated_ = false;  // whether the last gradient is of sparse rows: only those have r
    MatrixView<const T> hidden_values_;
};

// Throws std::invalid_argument, naming the caller, for a network that cannot be.
void check_autoencoder(const AutoencoderConfig& config, const char* caller);
void check_rated_output(const AutoencoderConfig& config, bool rated_output, bool dense, const char* caller);

// The layers between the ends: the first only activates, then those of the encoder, then the decoder's.
std::vector<DenseLayer> hidden_layers(const AutoencoderConfig& config);

}  // namespace fastcf
