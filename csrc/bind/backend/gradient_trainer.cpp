#include "train/gradient_trainer.h"

#include <memory>

#include "bind/backend/factors.h"
#include "bind/backend/optimizer.h"
#include "bind/backend/register.h"

namespace fastcf::bind {

void register_gradient_trainer(py::module_& module) {
    py::class_<GradientTrainer>(module, "GradientTrainer", py::module_local())
        .def(py::init([](const py::object& indptr, const py::object& indices, const py::object& values,
                         std::int64_t n_items, const py::object& weights, const py::object& item_offset,
                         float global_offset, std::int64_t n_factors, double reg, double reg_exponent, bool bias,
                         double user_bias_reg, double item_bias_reg, float lowest, float highest,
                         const std::string& cost, const std::string& optimizer, double decay, double second_decay,
                         double epsilon, std::int64_t batch_size, std::uint64_t seed, int n_threads) {
                 const char* caller = "GradientTrainer";
                 const CsrView ratings = csr_in(indptr, indices, values, n_items, caller);
                 const auto weight_view = optional_vector_in<float>(weights, caller, "weights");
                 const auto offset_view = optional_vector_in<float>(item_offset, caller, "item_offset");
                 check(lowest <= highest, caller, ": lowest must not exceed highest; got ", lowest, " and ", highest);
                 check(cost == "squared" || cost == "logistic", caller, ": cost must be 'squared' or 'logistic'; got '",
                       cost, "'");
                 GradientConfig config;
                 config.n_factors = n_factors;
                 config.reg = reg;
                 config.reg_exponent = reg_exponent;
                 config.bias = bias;
                 config.user_bias_reg = user_bias_reg;
                 config.item_bias_reg = item_bias_reg;
                 config.lowest = lowest;
                 config.highest = highest;
                 config.loss = cost == "squared" ? Loss::squared : Loss::logistic;
                 config.optimizer = optimizer_in(optimizer, decay, second_decay, epsilon, caller);
                 config.batch_size = batch_size;
                 config.seed = seed;
                 config.n_threads = n_threads;
                 const py::gil_scoped_release release;
                 return std::make_unique<GradientTrainer>(ratings, weight_view, offset_view, global_offset, config);
             }),
             py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"), py::kw_only(),
             py::arg("weights") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0f,
             py::arg("n_factors"), py::arg("reg"), py::arg("reg_exponent"), py::arg("bias"), py::arg("user_bias_reg"),
             py::arg("item_bias_reg"), py::arg("lowest"), py::arg("highest"), py::arg("cost") = "squared",
             py::arg("optimizer") = "gd", py::arg("decay") = 0.0, py::arg("second_decay") = 0.0,
             py::arg("epsilon") = 0.0, py::arg("batch_size") = 0, py::arg("seed"), py::arg("n_threads") = 0)
        .def(
            "set_parameters",
            [](GradientTrainer& self, const py::object& p, const py::object& q, const py::object& bu,
               const py::object& bi) {
                const FactorArrays from = factor_arrays(p, q, bu, bi, false, "GradientTrainer.set_parameters");
                const py::gil_scoped_release release;
                self.set_parameters(from);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none())
        .def(
            "get_parameters",
            [](GradientTrainer& self, const py::object& p, const py::object& q, const py::object& bu,
               const py::object& bi) {
                const FactorArrays to = factor_arrays(p, q, bu, bi, true, "GradientTrainer.get_parameters");
                const py::gil_scoped_release release;
                self.get_parameters(to);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none())
        .def("epoch", &GradientTrainer::epoch, py::arg("learning_rate"), py::arg("bias_learning_rate"),
             py::call_guard<py::gil_scoped_release>())
        .def("order",
             [](const GradientTrainer& self) {
                 const GradientTrainer::Order order = self.order();
                 const auto array = [](const auto& values) {
                     return py::array_t<typename std::decay_t<decltype(values)>::value_type>(
                         static_cast<py::ssize_t>(values.size()), values.data());
                 };
                 return py::make_tuple(array(order.users), array(order.items), array(order.steps));
             })
        .def("penalty", &GradientTrainer::penalty, py::call_guard<py::gil_scoped_release>())
        .def(
            "set_validation",
            [](GradientTrainer& self, const py::object& users, const py::object& items, const py::object& values) {
                const char* caller = "GradientTrainer.set_validation";
                self.set_validation(vector_in<std::int32_t>(users, caller, "users"),
                                    vector_in<std::int32_t>(items, caller, "items"),
                                    vector_in<float>(values, caller, "values"));
            },
            py::arg("users"), py::arg("items"), py::arg("values"))
        .def("validation_squared_error", &GradientTrainer::validation_squared_error,
             py::call_guard<py::gil_scoped_release>())
        .def("validation_log_loss", &GradientTrainer::validation_log_loss, py::call_guard<py::gil_scoped_release>())
        .def("save_best", &GradientTrainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &GradientTrainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
