// Trainers of factor models as Python classes: all but their own data and settings is the same.
#pragma once

#include "bind/backend/factors.h"
#include "bind/gil.h"
#include "bind/trainer.h"
#include "train/trainer.h"

namespace fastcf::bind {

// The keywords of all of them; a trainer adds its own.
template <class Settings>
Keywords<Settings> factor_keywords() {
    Keywords<Settings> keywords;
    keywords.optional("global_offset", &Settings::global_offset)
        .required("n_factors", &Settings::n_factors)
        .required("reg", &Settings::reg)
        .required("reg_exponent", &Settings::reg_exponent)
        .required("user_bias", &Settings::user_bias)
        .required("item_bias", &Settings::item_bias)
        .required("user_bias_reg", &Settings::user_bias_reg)
        .required("item_bias_reg", &Settings::item_bias_reg)
        .required("lowest", &Settings::lowest)
        .required("highest", &Settings::highest)
        .optional("cost", &Settings::loss)
        .required("seed", &Settings::seed)
        .optional("n_threads", &Settings::n_threads);
    return keywords;
}

// All but the constructor.
template <class Trainer>
py::class_<Trainer> register_factor_trainer(py::module_& module, const char* name) {
    py::class_<Trainer> trainer(module, name, py::module_local());  // every backend has one of its own
    const auto parameters = [&](const std::string& method, bool writable, auto use) {
        trainer.def(
            method.c_str(),
            [caller = std::string(name) + "." + method, writable, use](
                Trainer& self, const Array<float>& p, const Array<float>& q, const ArrayOrNone<float>& bu,
                const ArrayOrNone<float>& bi) {
                const FactorArrays arrays = factor_arrays(p, q, bu, bi, writable, caller.c_str());
                const ReleasedGil release;
                use(self, arrays);
            },
            py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
            py::arg("item_bias") = py::none());
    };
    parameters("set_parameters", false, [](Trainer& self, const FactorArrays& from) { self.set_parameters(from); });
    parameters("get_parameters", true, [](Trainer& self, const FactorArrays& to) { self.get_parameters(to); });
    if constexpr (requires(const Trainer& steps) { steps.order(); })  // by gradients, from rating to rating
        trainer
            .def("epoch", &Trainer::epoch, py::arg("learning_rate"), py::arg("bias_learning_rate"),
                 py::call_guard<ReleasedGil>())
            .def("order", [](const Trainer& self) {
                const TrainingOrder order = self.order();
                const auto array = [](const auto& values) {
                    return py::array_t<typename std::decay_t<decltype(values)>::value_type>(
                        static_cast<py::ssize_t>(values.size()), values.data());
                };
                return std::make_tuple(array(order.users), array(order.items), array(order.steps));
            });
    else
        trainer.def("epoch", &Trainer::epoch, py::call_guard<ReleasedGil>());
    register_methods(trainer, name);
    return trainer;
}

// One whose data are ratings by user.
template <class Trainer, class Settings>
void register_factor_trainer(py::module_& module, const char* name, const Keywords<Settings>& keywords) {
    register_factor_trainer<Trainer>(module, name)
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, std::int64_t n_items,
                                       const ArrayOrNone<float>& weights, const ArrayOrNone<float>& item_offset,
                                       const py::kwargs& settings) {
                 const CsrView ratings = csr_in(indptr, indices, values, n_items, name);
                 const auto weight_view = optional_vector_in<float>(weights, name, "weights");
                 const auto offset_view = optional_vector_in<float>(item_offset, name, "item_offset");
                 const Settings config = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<Trainer>(ratings, weight_view, offset_view, config);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"),
             py::kw_only(), py::arg("weights") = py::none(), py::arg("item_offset") = py::none());
}

}  // namespace fastcf::bind
