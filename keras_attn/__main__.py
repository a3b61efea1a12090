from keras_attn.cli import run_and_exit

run_and_exit()
