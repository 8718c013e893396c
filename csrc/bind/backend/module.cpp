// The backend module: one source, compiled once per device. Every backend registers exactly these functions.
#include "bind/backend/register.h"
#include "bind/process.h"
#ifdef FASTCF_EMULATION
#include "bind/emu/register.h"
#endif

PYBIND11_MODULE(FASTCF_MODULE, module) {
    fastcf::bind::install_process_hooks();
    fastcf::bind::borrow_thread_pool();
    fastcf::bind::register_activation(module);
    fastcf::bind::register_als(module);
    fastcf::bind::register_als_trainer(module);
    fastcf::bind::register_autoencoder(module);
    fastcf::bind::register_bias(module);
    fastcf::bind::register_choice_cost(module);
    fastcf::bind::register_config(module);
    fastcf::bind::register_cooccurrence(module);
    fastcf::bind::register_device_array(module);
    fastcf::bind::register_factor_gram(module);
    fastcf::bind::register_gemm(module);
    fastcf::bind::register_gradient_trainer(module);
    fastcf::bind::register_implicit_trainer(module);
    fastcf::bind::register_gram(module);
    fastcf::bind::register_item_scores(module);
    fastcf::bind::register_in_batch_softmax(module);
    fastcf::bind::register_random(module);
    fastcf::bind::register_local_weights(module);
    fastcf::bind::register_loss(module);
    fastcf::bind::register_sampled(module);
    fastcf::bind::register_sgd(module);
    fastcf::bind::register_spd_inverse(module);
    fastcf::bind::register_mf_gradient(module);
    fastcf::bind::register_nearest(module);
    fastcf::bind::register_normalize(module);
    fastcf::bind::register_optimizer(module);
    fastcf::bind::register_penalty(module);
    fastcf::bind::register_predict(module);
    fastcf::bind::register_rows(module);
    fastcf::bind::register_softmax(module);
    fastcf::bind::register_sparse_item_scores(module);
    fastcf::bind::register_spmm(module);
    fastcf::bind::register_topk(module);
    fastcf::bind::register_two_tower(module);
#ifdef FASTCF_EMULATION
    fastcf::bind::register_emulation(module);
#endif
}
