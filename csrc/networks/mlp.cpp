#include "networks/mlp.h"

#include <algorithm>
#include <utility>

#include "core/aligned.h"
#include "core/check.h"
#include "core/mix64.h"
#include "ops/activation.h"
#include "ops/gemm.h"

namespace fastcf {
namespace {

constexpr std::uint64_t kDropoutStream = 0x64726f70;

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

Dropout dropout_of(double rate, bool alpha, const DropoutSeed& seed, std::int64_t layer) {
    const std::uint64_t stream = kDropoutStream + static_cast<std::uint64_t>(layer);
    return {rate, alpha, random_key(seed.seed + seed.pass, stream)};
}

}  // namespace

template <class T>
Mlp<T>::Mlp(std::vector<DenseLayer> layers, bool alpha, OptimizerKind kind)
    : layers_(std::move(layers)), alpha_(alpha) {
    for (const DenseLayer& layer : layers_) {
        if (layer.matrix < 0 || layer.transposed) continue;
        matrices_.push_back({n_weights_, layer.inputs, layer.outputs});
        n_weights_ += layer.inputs * layer.outputs;
    }
    n_weights_ = row_stride(n_weights_);
    std::int64_t n = n_weights_;
    for (const DenseLayer& layer : layers_) {
        const std::int64_t size = layer.bias ? layer.outputs : 0;
        biases_.push_back({n, 1, size});
        n += row_stride(size);  // every bias begins on a cache line
    }
    for (std::size_t l = 0; l < layers_.size(); ++l)
        adds_.push_back(layers_[l].matrix >= 0 &&
                        std::any_of(layers_.begin() + static_cast<std::ptrdiff_t>(l) + 1, layers_.end(),
                                    [&](const DenseLayer& later) { return later.matrix == layers_[l].matrix; }));
    parameters_ = OptimizedRows<T>(1, n, kind);
    gradient_ = DeviceArray<T>::zeros(n);
    passes_.resize(layers_.size());
}

template <class T>
MatrixView<const T> Mlp<T>::weights(int matrix) const {
    const Place& place = matrices_[at(matrix)];
    return {parameters_.values.data() + place.offset, place.rows, place.cols, place.cols};
}

template <class T>
void Mlp<T>::check_arrays(const Arrays& arrays, const char* caller) const {
    check(arrays.matrices.size() == matrices_.size() && arrays.biases.size() == biases_.size(), caller,
          ": there must be ", matrices_.size(), " hidden weights and ", biases_.size(), " hidden biases; got ",
          arrays.matrices.size(), " and ", arrays.biases.size());
    for (std::size_t m = 0; m < matrices_.size(); ++m)
        check(arrays.matrices[m].rows == matrices_[m].rows && arrays.matrices[m].cols == matrices_[m].cols, caller,
              ": hidden weights ", m, " must have shape (", matrices_[m].rows, ", ", matrices_[m].cols, "); got (",
              arrays.matrices[m].rows, ", ", arrays.matrices[m].cols, ")");
    for (std::size_t b = 0; b < biases_.size(); ++b)
        check(arrays.biases[b].size == biases_[b].cols, caller, ": hidden bias ", b, " must have ", biases_[b].cols,
              " entries; got ", arrays.biases[b].size);
}

template <class T>
void Mlp<T>::upload(const Arrays& from) {
    HostView<T> host(parameters_.values);
    for (std::size_t m = 0; m < matrices_.size(); ++m)
        std::copy_n(from.matrices[m].data, matrices_[m].rows * matrices_[m].cols, host.data() + matrices_[m].offset);
    for (std::size_t b = 0; b < biases_.size(); ++b)
        std::copy_n(from.biases[b].data, biases_[b].cols, host.data() + biases_[b].offset);
    host.finish();
    forget();
}

template <class T>
void Mlp<T>::copy(const DeviceArray<T>& from, const Arrays& to) const {
    const HostView<const T> host(from);
    for (std::size_t m = 0; m < matrices_.size(); ++m)
        std::copy_n(host.data() + matrices_[m].offset, matrices_[m].rows * matrices_[m].cols, to.matrices[m].data);
    for (std::size_t b = 0; b < biases_.size(); ++b)
        std::copy_n(host.data() + biases_[b].offset, biases_[b].cols, to.biases[b].data);
}

template <class T>
void Mlp<T>::download(const Arrays& to) {
    copy(parameters_.values, to);
}

template <class T>
void Mlp<T>::download_gradient(const Arrays& to) {
    copy(gradient_, to);
}

template <class T>
MatrixView<const T> Mlp<T>::forward(MatrixView<T> x, const DropoutSeed& dropout, int n_threads, int depth) {
    dropout_ = dropout;
    n_ = x.rows;
    MatrixView<const T> in{x.data, x.rows, x.cols, x.stride};
    const int end = depth < 0 ? n_layers() : depth;
    for (int l = 0; l < end; ++l) {
        const DenseLayer& layer = layers_[at(l)];
        Pass& pass = passes_[at(l)];
        MatrixView<T> out = x;
        if (layer.matrix >= 0) {
            pass.values.reserve(n_ * layer.outputs);
            out = {pass.values.data(), n_, layer.outputs, layer.outputs};
            gemm<T>(false, layer.transposed, T(1), in, weights(layer.matrix), T(0), out, n_threads);
        }
        const Place& place = biases_[at(l)];
        const VectorView<const T> bias{parameters_.values.data() + place.offset, place.cols};
        activate<T>(layer.activation, out, bias, n_threads);
        in = {out.data, out.rows, out.cols, out.stride};
        if (rate(layer) == 0) continue;
        // The slope needs what was there before.
        pass.dropped.reserve(n_ * layer.outputs);
        device_copy(pass.dropped.data(), out.data, n_ * layer.outputs * static_cast<std::int64_t>(sizeof(T)),
                    n_threads);
        out.data = pass.dropped.data();
        fastcf::dropout<T>(dropout_of(layer.dropout, alpha_, dropout, l), out, n_threads);
        in.data = out.data;
    }
    return in;
}

template <class T>
MatrixView<T> Mlp<T>::backward(MatrixView<const T> x, MatrixView<T> gradient, int n_threads, bool of_input) {
    for (int l = n_layers() - 1; l >= 0; --l) {
        const DenseLayer& layer = layers_[at(l)];
        const T* values = layer.matrix < 0 ? x.data : passes_[at(l)].values.data();
        if (rate(layer) > 0) dropout_gradient<T>(dropout_of(layer.dropout, alpha_, dropout_, l), gradient, n_threads);
        activation_gradient<T>(layer.activation, {values, n_, layer.outputs, layer.outputs}, gradient,
                               {gradient_.data() + biases_[at(l)].offset, biases_[at(l)].cols}, n_threads);
        if (layer.matrix < 0) break;
        MatrixView<const T> in = x;
        if (l > 0) {
            const Pass& below = passes_[at(l - 1)];
            const DenseLayer& source = layers_[at(l - 1)];
            in = {rate(source) > 0     ? below.dropped.data()
                  : source.matrix >= 0 ? below.values.data()
                                       : x.data,
                  n_, source.outputs, source.outputs};
        }
        const MatrixView<const T> slopes{gradient.data, n_, gradient.cols, gradient.stride};
        const Place& place = matrices_[at(layer.matrix)];
        const MatrixView<T> sum{gradient_.data() + place.offset, place.rows, place.cols, place.cols};
        const T beta = adds_[at(l)] ? T(1) : T(0);
        if (layer.transposed)
            gemm<T>(true, false, T(1), slopes, in, beta, sum, n_threads);
        else
            gemm<T>(true, false, T(1), in, slopes, beta, sum, n_threads);
        if (l == 0 && !of_input) return {};
        Pass& pass = passes_[at(l)];
        pass.gradient.reserve(n_ * layer.inputs);
        const MatrixView<T> next{pass.gradient.data(), n_, layer.inputs, layer.inputs};
        gemm<T>(false, !layer.transposed, T(1), slopes, weights(layer.matrix), T(0), next, n_threads);
        gradient = next;
    }
    return gradient;
}

template <class T>
void Mlp<T>::step(const Optimizer& optimizer, double learning_rate, std::int64_t number, int n_threads) {
    const OptimizerRows<T> state = parameters_.state();
    const auto part = [&](const Optimizer& how, std::int64_t begin, std::int64_t end) {
        const auto from = [begin](T* array) { return array == nullptr ? nullptr : array + begin; };
        optimizer_step<T>(how, learning_rate, number, end - begin, state.parameters + begin, gradient_.data() + begin,
                          from(state.first), from(state.second), n_threads);
    };
    Optimizer unpenalised = optimizer;
    unpenalised.weight_decay = 0;
    if (n_weights_ > 0) part(optimizer, 0, n_weights_);
    if (state.cols > n_weights_) part(unpenalised, n_weights_, state.cols);
}

template <class T>
std::vector<std::int64_t> Mlp<T>::offsets() const {
    std::vector<std::int64_t> offsets;
    for (const std::vector<Place>* places : {&matrices_, &biases_})
        for (const Place& place : *places) offsets.push_back(place.offset);
    return offsets;
}

template <class T>
double Mlp<T>::squared_norm(int n_threads) const {
    return penalty<T>({parameters_.values.data(), n_weights_ / kRowAlign, kRowAlign, kRowAlign}, {}, n_threads);
}

template <class T>
void Mlp<T>::forget() {
    parameters_.forget();
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace fastcf
