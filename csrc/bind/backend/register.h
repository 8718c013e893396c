// One register_…() per file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcf::bind {

void register_activation(pybind11::module_& module);
void register_als(pybind11::module_& module);
void register_als_trainer(pybind11::module_& module);
void register_autoencoder(pybind11::module_& module);
void register_bias(pybind11::module_& module);
void register_cooccurrence(pybind11::module_& module);
void register_choice_cost(pybind11::module_& module);
void register_config(pybind11::module_& module);
void register_device_array(pybind11::module_& module);
void register_factor_gram(pybind11::module_& module);
void register_gemm(pybind11::module_& module);
void register_gradient_trainer(pybind11::module_& module);
void register_implicit_trainer(pybind11::module_& module);
void register_gram(pybind11::module_& module);
void register_item_scores(pybind11::module_& module);
void register_in_batch_softmax(pybind11::module_& module);
void register_random(pybind11::module_& module);
void register_local_weights(pybind11::module_& module);
void register_loss(pybind11::module_& module);
void register_sampled(pybind11::module_& module);
void register_sgd(pybind11::module_& module);
void register_spd_inverse(pybind11::module_& module);
void register_mf_gradient(pybind11::module_& module);
void register_nearest(pybind11::module_& module);
void register_normalize(pybind11::module_& module);
void register_optimizer(pybind11::module_& module);
void register_penalty(pybind11::module_& module);
void register_predict(pybind11::module_& module);
void register_rows(pybind11::module_& module);
void register_softmax(pybind11::module_& module);
void register_sparse_item_scores(pybind11::module_& module);
void register_spmm(pybind11::module_& module);
void register_topk(pybind11::module_& module);
void register_two_tower(pybind11::module_& module);

}  // namespace fastcf::bind
