// Trainers of factor models as Python classes: all but the settings of their own is the same.
#pragma once

#include <memory>
#include <string>

#include "bind/backend/factors.h"
#include "bind/backend/loss.h"
#include "train/trainer.h"

namespace fastcf::bind {

// `configure` adds a trainer's own settings, whose Python names and defaults are `own`, to those of all. `name` must
// live as long as the module, as literals do.
template <class Trainer, class Config, class... Own, class... Arguments>
void register_trainer(py::module_& module, const char* name,
                      Config (*configure)(const TrainerConfig&, const char* caller, Own...), const Arguments&... own) {
    py::class_<Trainer> trainer(module, name, py::module_local());  // every backend has one of its own
    const auto parameters = [&](const std::string& method, bool writable, auto use) {
        trainer.def(
            method.c_str(),
            [caller = std::string(name) + "." + method, writable, use](
                Trainer& self, const py::object& p, const py::object& q, const py::object& bu, const py::object& bi) {
                const FactorArrays arrays = factor_arrays(p, q, bu, bi, writable, caller.c_str());
                const py::gil_scoped_release release;
                use(self, arrays);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none());
    };
    trainer.def(
        py::init([name, configure](const py::object& indptr, const py::object& indices, const py::object& values,
                                   std::int64_t n_items, const py::object& weights, const py::object& item_offset,
                                   float global_offset, std::int64_t n_factors, double reg, double reg_exponent,
                                   bool bias, double user_bias_reg, double item_bias_reg, float lowest, float highest,
                                   const std::string& cost, std::uint64_t seed, int n_threads, const Own&... settings) {
            const CsrView ratings = csr_in(indptr, indices, values, n_items, name);
            const auto weight_view = optional_vector_in<float>(weights, name, "weights");
            const auto offset_view = optional_vector_in<float>(item_offset, name, "item_offset");
            TrainerConfig config;
            config.n_factors = n_factors;
            config.reg = reg;
            config.reg_exponent = reg_exponent;
            config.bias = bias;
            config.user_bias_reg = user_bias_reg;
            config.item_bias_reg = item_bias_reg;
            config.lowest = lowest;
            config.highest = highest;
            config.loss = loss_in(cost, name);
            config.seed = seed;
            config.n_threads = n_threads;
            const Config whole = configure(config, name, settings...);
            const py::gil_scoped_release release;
            return std::make_unique<Trainer>(ratings, weight_view, offset_view, global_offset, whole);
        }),
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"), py::kw_only(),
        py::arg("weights") = py::none(), py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0f,
        py::arg("n_factors"), py::arg("reg"), py::arg("reg_exponent"), py::arg("bias"), py::arg("user_bias_reg"),
        py::arg("item_bias_reg"), py::arg("lowest"), py::arg("highest"), py::arg("cost") = "squared", py::arg("seed"),
        py::arg("n_threads") = 0, own...);
    parameters("set_parameters", false, [](Trainer& self, const FactorArrays& from) { self.set_parameters(from); });
    parameters("get_parameters", true, [](Trainer& self, const FactorArrays& to) { self.get_parameters(to); });
    if constexpr (requires(const Trainer& steps) { steps.order(); }) {  // by gradients, from rating to rating
        trainer
            .def("epoch", &Trainer::epoch, py::arg("learning_rate"), py::arg("bias_learning_rate"),
                 py::call_guard<py::gil_scoped_release>())
            .def("order",
                 [](const Trainer& self) {
                     const TrainingOrder order = self.order();
                     const auto array = [](const auto& values) {
                         return py::array_t<typename std::decay_t<decltype(values)>::value_type>(
                             static_cast<py::ssize_t>(values.size()), values.data());
                     };
                     return py::make_tuple(array(order.users), array(order.items), array(order.steps));
                 })
            .def("validation_log_loss", &Trainer::validation_log_loss, py::call_guard<py::gil_scoped_release>());
    } else {
        trainer.def("epoch", &Trainer::epoch, py::call_guard<py::gil_scoped_release>());
    }
    trainer.def("penalty", &Trainer::penalty, py::call_guard<py::gil_scoped_release>())
        .def(
            "set_validation",
            [caller = std::string(name) + ".set_validation"](Trainer& self, const py::object& users,
                                                             const py::object& items, const py::object& values) {
                self.set_validation(vector_in<std::int32_t>(users, caller.c_str(), "users"),
                                    vector_in<std::int32_t>(items, caller.c_str(), "items"),
                                    vector_in<float>(values, caller.c_str(), "values"));
            },
            py::arg("users"), py::arg("items"), py::arg("values"))
        .def("validation_squared_error", &Trainer::validation_squared_error, py::call_guard<py::gil_scoped_release>())
        .def("save_best", &Trainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &Trainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
