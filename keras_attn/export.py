"""A SavedModel that needs neither this package nor Keras: strings in, translations out."""

import tensorflow as tf

from keras_attn import files


def export_saved_model(translator, folder):
    """Writes the translator as a SavedModel.

    It loads where only `tensorflow` and `tensorflow_text` are installed (TensorFlow Serving has both), and holds
    variables, lookup tables and graphs, but no Keras object. It has two signatures, each with one input, `texts`, a
    vector of strings:

    - `serving_default` gives `translations`, `tokens`, `scores`, `attention` and `source_tokens`, as
      `Translator.translate_tensor` describes them;
    - `translate` gives `translations` alone.

    Args:
        translator: `Translator`.
        folder: where to write; what is there is replaced once the new one is complete.

    Example:
        >>> import tensorflow as tf, tensorflow_text
        >>> serve = tf.saved_model.load("runs/dates/saved_model").signatures["serving_default"]
        >>> serve(texts=tf.constant(["25 décembre 1997"]))["translations"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'1997-12-25'], dtype=object)>
    """
    module = tf.Module()
    # All that the graphs refer to, and nothing of the Python objects around it.
    module.weights = [variable.value for variable in translator.model.variables]
    module.text = [translator.source_text, translator.target_text]
    texts = tf.TensorSpec([None], tf.string, name="texts")

    @tf.function(input_signature=[texts], autograph=False)
    def translate(texts):
        return {"translations": translator.translate_tensor(texts)["translations"]}

    @tf.function(input_signature=[texts], autograph=False)
    def translate_with_attention(texts):
        return translator.translate_tensor(texts)

    signatures = {"serving_default": translate_with_attention, "translate": translate}
    with files.written_whole(folder) as unfinished:
        tf.saved_model.save(module, str(unfinished), signatures=signatures)
