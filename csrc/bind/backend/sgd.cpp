#include <memory>
#include <string>

#include "bind/backend/factors.h"
#include "bind/backend/register.h"
#include "train/sgd_trainer.h"

namespace fastcf::bind {

void register_sgd(py::module_& module) {
    py::class_<SgdTrainer>(module, "SgdTrainer", py::module_local())
        .def(py::init([](const py::object& indptr, const py::object& indices, const py::object& values,
                         std::int64_t n_items, const py::object& weights, const py::object& item_offset,
                         float global_offset, std::int64_t n_factors, double reg, double reg_exponent, bool bias,
                         double user_bias_reg, double item_bias_reg, float lowest, float highest,
                         const std::string& cost, bool deterministic, const std::string& storage, std::uint64_t seed,
                         int n_threads) {
                 const char* caller = "SgdTrainer";
                 const CsrView ratings = csr_in(indptr, indices, values, n_items, caller);
                 const auto weight_view = optional_vector_in<float>(weights, caller, "weights");
                 const auto offset_view = optional_vector_in<float>(item_offset, caller, "item_offset");
                 check(lowest <= highest, caller, ": lowest must not exceed highest; got ", lowest, " and ", highest);
                 check(cost == "squared" || cost == "logistic", caller, ": cost must be 'squared' or 'logistic'; got '",
                       cost, "'");
                 check(storage == "float32" || storage == "float16", caller,
                       ": storage must be 'float32' or 'float16'; got '", storage, "'");
                 SgdConfig config;
                 config.n_factors = n_factors;
                 config.reg = reg;
                 config.reg_exponent = reg_exponent;
                 config.bias = bias;
                 config.loss = cost == "squared" ? Loss::squared : Loss::logistic;
                 config.user_bias_reg = user_bias_reg;
                 config.item_bias_reg = item_bias_reg;
                 config.lowest = lowest;
                 config.highest = highest;
                 config.deterministic = deterministic;
                 config.half = storage == "float16";
                 config.seed = seed;
                 config.n_threads = n_threads;
                 const py::gil_scoped_release release;
                 return std::make_unique<SgdTrainer>(ratings, weight_view, offset_view, global_offset, config);
             }),
             py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"), py::kw_only(),
             py::arg("weights") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0f,
             py::arg("n_factors"), py::arg("reg"), py::arg("reg_exponent"), py::arg("bias"), py::arg("user_bias_reg"),
             py::arg("item_bias_reg"), py::arg("lowest"), py::arg("highest"), py::arg("cost") = "squared",
             py::arg("deterministic") = true, py::arg("storage") = "float32", py::arg("seed"), py::arg("n_threads") = 0)
        .def(
            "set_parameters",
            [](SgdTrainer& self, const py::object& p, const py::object& q, const py::object& bu, const py::object& bi) {
                const FactorArrays from = factor_arrays(p, q, bu, bi, false, "SgdTrainer.set_parameters");
                const py::gil_scoped_release release;
                self.set_parameters(from);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none())
        .def(
            "get_parameters",
            [](const SgdTrainer& self, const py::object& p, const py::object& q, const py::object& bu,
               const py::object& bi) {
                const FactorArrays to = factor_arrays(p, q, bu, bi, true, "SgdTrainer.get_parameters");
                const py::gil_scoped_release release;
                self.get_parameters(to);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none())
        .def("epoch", &SgdTrainer::epoch, py::arg("learning_rate"), py::arg("bias_learning_rate"),
             py::call_guard<py::gil_scoped_release>())
        .def("order",
             [](const SgdTrainer& self) {
                 const SgdTrainer::Order order = self.order();
                 const auto array = [](const auto& values) {
                     return py::array_t<typename std::decay_t<decltype(values)>::value_type>(
                         static_cast<py::ssize_t>(values.size()), values.data());
                 };
                 return py::make_tuple(array(order.users), array(order.items), array(order.steps));
             })
        .def("penalty", &SgdTrainer::penalty, py::call_guard<py::gil_scoped_release>())
        .def(
            "set_validation",
            [](SgdTrainer& self, const py::object& users, const py::object& items, const py::object& values) {
                const char* caller = "SgdTrainer.set_validation";
                self.set_validation(vector_in<std::int32_t>(users, caller, "users"),
                                    vector_in<std::int32_t>(items, caller, "items"),
                                    vector_in<float>(values, caller, "values"));
            },
            py::arg("users"), py::arg("items"), py::arg("values"))
        .def("validation_squared_error", &SgdTrainer::validation_squared_error,
             py::call_guard<py::gil_scoped_release>())
        .def("validation_log_loss", &SgdTrainer::validation_log_loss, py::call_guard<py::gil_scoped_release>())
        .def("save_best", &SgdTrainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &SgdTrainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
