from keras_attn.models import AttentionSeq2Seq
