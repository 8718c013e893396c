// What gradient checks and fitted models ask of a masked autoencoder: its objective on all rows at once, and hidden
// values of many rows.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "networks/autoencoder.h"
#include "networks/row_batches.h"

namespace fastcf {

struct AutoencoderObjective {
    AutoencoderConfig network;
    double rated_input = 0;
    bool rated_output = false;     // output weights have centres
    double weight_decay = 0;       // as that of training
    std::int64_t n_negatives = 0;  // as that of training
    bool dense = false;            // rows as dense ones, zeros where nothing is stored, all of it asked for
    std::uint64_t seed = 0;
    int n_threads = 0;
};

// The cost that a step of training follows (train/autoencoder_trainer.h), of all rows as one batch, with the penalty
// weight_decay / 2 |weights|^2; writes its gradient. Rows of weights that the batch touches get their penalty as they
// do in training under optimisers that leave the others where they are.
template <class T>
double autoencoder_gradient(const TrainingRows<T>& rows, const AutoencoderObjective& objective,
                            const AutoencoderArrays<T>& at, const AutoencoderArrays<T>& gradient);

// Weights of the ends in device or host memory; those for being rated have no rows where the network has none.
struct AutoencoderEncoder {
    AutoencoderConfig network;
    double rated_input = 0;
    int depth = 1;  // of the layer whose values are asked for
    int n_threads = 0;
    MatrixView<const float> input_weights, rated_weights;
    Mlp<float>::Arrays hidden;
};

// The number of values that a row gets.
std::int64_t hidden_width(const AutoencoderEncoder& encoder, const char* caller);

// Hidden values of rows, in passes of 1024; out (rows, hidden_width). Throws Interrupted between passes.
void autoencoder_hidden(const CsrView& rows, const AutoencoderEncoder& encoder, MatrixView<float> out);

}  // namespace fastcf
