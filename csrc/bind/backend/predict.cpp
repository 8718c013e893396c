#include "ops/predict.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

// An empty view means "no bias" to the op, so a given array's length is checked here, empty ones included.
VectorView<const float> bias_in(const py::object& object, std::int64_t size, const char* caller, const char* name) {
    if (object.is_none()) return {};
    const auto bias = held_vector_in<float>(object, caller, name);
    check(bias.size == size, caller, ": ", name, " must have ", size, " entries; got ", bias.size);
    return bias;
}

FactorModel model_in(const Array<float>& user_factors, const Array<float>& item_factors,
                     const ArrayOrNone<float>& user_bias, const ArrayOrNone<float>& item_bias,
                     const ArrayOrNone<float>& item_offset, double global_offset, const char* caller) {
    FactorModel model;
    model.user_factors = held_matrix_in<float>(user_factors, caller, "user_factors");
    model.item_factors = held_matrix_in<float>(item_factors, caller, "item_factors");
    model.user_bias = bias_in(user_bias, model.user_factors.rows, caller, "user_bias");
    model.item_bias = bias_in(item_bias, model.item_factors.rows, caller, "item_bias");
    model.item_offset = bias_in(item_offset, model.item_factors.rows, caller, "item_offset");
    model.global_offset = static_cast<float>(global_offset);
    return model;
}

py::array_t<float> predict_pairs_array(const Array<std::int32_t>& user_rows, const Array<std::int32_t>& item_rows,
                                       const Array<float>& user_factors, const Array<float>& item_factors,
                                       const ArrayOrNone<float>& user_bias, const ArrayOrNone<float>& item_bias,
                                       const ArrayOrNone<float>& item_offset, double global_offset, int n_threads) {
    const char* caller = "predict_pairs";
    const FactorModel model =
        model_in(user_factors, item_factors, user_bias, item_bias, item_offset, global_offset, caller);
    const auto users = vector_in<std::int32_t>(user_rows, caller, "user_rows");
    const auto items = vector_in<std::int32_t>(item_rows, caller, "item_rows");
    py::array_t<float> out(users.size);
    const VectorView<float> view{out.mutable_data(), users.size};
    {
        const ReleasedGil release;
        predict_pairs(model, users, items, view, n_threads);
    }
    return out;
}

py::array_t<float> predict_block_array(const Array<std::int32_t>& user_rows, const Array<float>& user_factors,
                                       const Array<float>& item_factors, const ArrayOrNone<float>& user_bias,
                                       const ArrayOrNone<float>& item_bias, const ArrayOrNone<float>& item_offset,
                                       double global_offset, int n_threads) {
    const char* caller = "predict_block";
    const FactorModel model =
        model_in(user_factors, item_factors, user_bias, item_bias, item_offset, global_offset, caller);
    const auto users = vector_in<std::int32_t>(user_rows, caller, "user_rows");
    const std::int64_t n_items = model.item_factors.rows;
    py::array_t<float> out({users.size, n_items});
    const MatrixView<float> view{out.mutable_data(), users.size, n_items, n_items};
    {
        const ReleasedGil release;
        predict_block(model, users, view, n_threads);
    }
    return out;
}

Tuple<py::float_, py::float_, py::int_> evaluate_csr_arrays(
    const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
    const Array<float>& user_factors, const Array<float>& item_factors, const ArrayOrNone<float>& user_bias,
    const ArrayOrNone<float>& item_bias, const ArrayOrNone<float>& item_offset, double global_offset,
    const ArrayOrNone<float>& weights, double low, double high, int n_threads) {
    const char* caller = "evaluate_csr";
    const FactorModel model =
        model_in(user_factors, item_factors, user_bias, item_bias, item_offset, global_offset, caller);
    check(!values.is_none(), caller, ": values must be given");
    const CsrView ratings = csr_in(indptr, indices, values, model.item_factors.rows, caller);
    const auto weighting = optional_vector_in<float>(weights, caller, "weights");
    ErrorSums sums;
    {
        const ReleasedGil release;
        sums = evaluate_csr(model, ratings, weighting, n_threads, static_cast<float>(low), static_cast<float>(high));
    }
    return py::make_tuple(sums.squared, sums.absolute, sums.count);
}

// What evaluate_pairs and log_loss_pairs are given.
struct PairArguments {
    FactorModel model;
    VectorView<const std::int32_t> users, items;
    VectorView<const float> values, weights;
};

PairArguments pairs_in(const Array<std::int32_t>& user_rows, const Array<std::int32_t>& item_rows,
                       const Array<float>& values, const Array<float>& user_factors, const Array<float>& item_factors,
                       const ArrayOrNone<float>& user_bias, const ArrayOrNone<float>& item_bias,
                       const ArrayOrNone<float>& item_offset, double global_offset, const ArrayOrNone<float>& weights,
                       const char* caller) {
    return {model_in(user_factors, item_factors, user_bias, item_bias, item_offset, global_offset, caller),
            vector_in<std::int32_t>(user_rows, caller, "user_rows"),
            vector_in<std::int32_t>(item_rows, caller, "item_rows"), held_vector_in<float>(values, caller, "values"),
            optional_vector_in<float>(weights, caller, "weights")};
}

Tuple<py::float_, py::float_, py::int_> evaluate_pairs_arrays(
    const Array<std::int32_t>& user_rows, const Array<std::int32_t>& item_rows, const Array<float>& values,
    const Array<float>& user_factors, const Array<float>& item_factors, const ArrayOrNone<float>& user_bias,
    const ArrayOrNone<float>& item_bias, const ArrayOrNone<float>& item_offset, double global_offset,
    const ArrayOrNone<float>& weights, double low, double high, int n_threads) {
    const PairArguments pairs = pairs_in(user_rows, item_rows, values, user_factors, item_factors, user_bias, item_bias,
                                         item_offset, global_offset, weights, "evaluate_pairs");
    ErrorSums sums;
    {
        const ReleasedGil release;
        sums = evaluate_pairs(pairs.model, pairs.users, pairs.items, pairs.values, pairs.weights, n_threads,
                              static_cast<float>(low), static_cast<float>(high));
    }
    return py::make_tuple(sums.squared, sums.absolute, sums.count);
}

double log_loss_pairs_arrays(const Array<std::int32_t>& user_rows, const Array<std::int32_t>& item_rows,
                             const Array<float>& values, const Array<float>& user_factors,
                             const Array<float>& item_factors, const ArrayOrNone<float>& user_bias,
                             const ArrayOrNone<float>& item_bias, const ArrayOrNone<float>& item_offset,
                             double global_offset, const ArrayOrNone<float>& weights, int n_threads) {
    const PairArguments pairs = pairs_in(user_rows, item_rows, values, user_factors, item_factors, user_bias, item_bias,
                                         item_offset, global_offset, weights, "log_loss_pairs");
    const ReleasedGil release;
    return log_loss_pairs(pairs.model, pairs.users, pairs.items, pairs.values, pairs.weights, n_threads);
}

}  // namespace

void register_predict(py::module_& module) {
    module.def("predict_pairs", &predict_pairs_array, py::arg("user_rows"), py::arg("item_rows"),
               py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
               py::arg("item_bias") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0,
               py::arg("n_threads") = 0);
    module.def("predict_block", &predict_block_array, py::arg("user_rows"), py::arg("user_factors"),
               py::arg("item_factors"), py::arg("user_bias") = py::none(), py::arg("item_bias") = py::none(),
               py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0, py::arg("n_threads") = 0);
    module.def("evaluate_csr", &evaluate_csr_arrays, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
               py::arg("item_bias") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0,
               py::arg("weights") = py::none(), py::arg("low") = -std::numeric_limits<double>::infinity(),
               py::arg("high") = std::numeric_limits<double>::infinity(), py::arg("n_threads") = 0);
    module.def("evaluate_pairs", &evaluate_pairs_arrays, py::arg("user_rows"), py::arg("item_rows"), py::arg("values"),
               py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
               py::arg("item_bias") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0,
               py::arg("weights") = py::none(), py::arg("low") = -std::numeric_limits<double>::infinity(),
               py::arg("high") = std::numeric_limits<double>::infinity(), py::arg("n_threads") = 0);
    module.def("log_loss_pairs", &log_loss_pairs_arrays, py::arg("user_rows"), py::arg("item_rows"), py::arg("values"),
               py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
               py::arg("item_bias") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0,
               py::arg("weights") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
