// Words of the decoder's program that kernels know too.

/** Activations of language models. */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu';
