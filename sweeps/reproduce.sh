#!/bin/sh
# Makes a block of RESULTS.md again:   sh sweeps/reproduce.sh BLOCK [FOLDER] [OVERRIDES]
# FOLDER holds ml-1m.zip, ml-100k.zip and beauty.txt.gz. Without BLOCK: a list. Where it has none of MovieLens, that is downloaded; the
# ML-1M of RESULTS.md lacks 598 ratings of the 290 rarest movies, so numbers differ a little. Beauty: data/Beauty.txt of
# github.com/salesforce/ICLRec, as S3-Rec made it (sha256 226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8).
# Each block is a sweep: started again, it goes on where it was. Add study.dry_run=true to see its runs.
set -eu
block=${1:-} folder=.
[ $# -lt 1 ] || shift
case ${1:-} in '' | *=*) ;; *) folder=$1; shift ;; esac
at() { [ -e "$folder/$1" ] && echo "$folder/$1" || echo null; }
ml1m=$(at ml-1m.zip) ml100k=$(at ml-100k.zip) beauty=$(at beauty.txt.gz) four="data=ml-100k data.min_rating=4"
tuned="model.embedding_dim=32 model.num_blocks=3 model.dropout=0.1 training.lr=0.0007837 training.weight_decay=0.06086"
random=model.init=random old="model.prior=none $random" # the model at the time
all="fixed,discrete,learnable,continuous,length_gate,piecewise,gated"

case $block in
no-graph)        set -- $random model=sasrec seed=0,1,2 -m "$@" ;;
no-graph-100k)   set -- $random $four data.path="$ml100k" model=sasrec seed=0,1,2 -m "$@" ;;
no-graph-ml-1m-4) set -- +experiment=hybrid/ml-1m $random data.path="$ml1m" seed=0,1,2 -m "$@" ;;
no-graph-beauty) set -- +experiment=hybrid/beauty $random data.path="$beauty" seed=0,1,2 -m "$@" ;;
movietweetings)  set -- model=sasrec,hybrid seed=0,1,2 -m "$@" ;;
ml-100k)         set -- $four data.path="$ml100k" model=sasrec,hybrid seed=0,1,2 -m "$@" ;;
losses)          set -- $old model=sasrec,hybrid loss=cross_entropy,unseen seed=0,1,2 -m "$@" ;;
losses-100k)     set -- $old $four data.path="$ml100k" model=sasrec,hybrid loss=cross_entropy,unseen seed=0,1,2 -m "$@" ;;
ml-1m-4)         set -- +experiment=hybrid/ml-1m data.path="$ml1m" seed=0,1,2 -m "$@" ;;
ml-1m)           set -- +experiment=hybrid/ml-1m-all data.path="$ml1m" seed=0,1,2 -m "$@" ;;
beauty)          set -- +experiment=hybrid/beauty data.path="$beauty" seed=0,1,2 -m "$@" ;;
anchors)         set -- +experiment=anchor/sasrec,anchor/sasrec_bce,anchor/sasrec_gbce,anchor/bert4rec,anchor/gru4rec \
                     data.path="$ml1m" seed=0,1,2 -m "$@" ;;
tuning)          set -- sweeps=baseline_tuning $random study.n_trials=16 "$@" ;;
tuning-100k)     set -- sweeps=baseline_tuning $old study.n_trials=16 $four data.path="$ml100k" "$@" ;;
controls)        set -- sweeps=controls seed=10 study.seeds=5 "$@" ;;
tuning-graph)    set -- sweeps=baseline_tuning study.n_trials=16 "$@" ;;
tuned-graph)     set -- model=sasrec,hybrid model.embedding_dim=128 model.num_blocks=3 model.max_length=100 model.dropout=0.3645 \
                     training.lr=0.0008033 training.weight_decay=0.05957 seed=10,11,12,13,14 -m "$@" ;;
tuned)           set -- $random model=sasrec,hybrid model.embedding_dim=32 model.max_length=100 model.dropout=0.3199 \
                     training.lr=0.0008187 training.weight_decay=0.001159 seed=10,11,12,13,14 -m "$@" ;;
default-100k)    set -- $old $four data.path="$ml100k" model=sasrec,hybrid seed=10,11,12,13,14 -m "$@" ;;
tuning-graph-100k) set -- sweeps=baseline_tuning study.n_trials=16 $four data.path="$ml100k" "$@" ;;
tuned-graph-100k) set -- model=sasrec,hybrid model.embedding_dim=128 model.num_blocks=3 model.max_length=100 model.dropout=0.3411 \
                     training.lr=0.001062 training.weight_decay=0.0591 seed=10,11,12,13,14 $four data.path="$ml100k" -m "$@" ;;
tuning-beauty)   set -- sweeps=baseline_tuning study.n_trials=12 data=sequences data.path="$beauty" model.max_length=50 \
                     model.embedding_dim=64,128 'model.dropout=interval(0.3,0.7)' "$@" ;;
tuned-beauty)    set -- +experiment=hybrid/beauty data.path="$beauty" model.num_blocks=3 model.dropout=0.5411 \
                     training.lr=0.001062 training.weight_decay=0.0591 seed=10,11,12 -m "$@" ;;
tuning-ml-1m-4)  set -- sweeps=baseline_tuning study.n_trials=12 data=ml-1m data.min_rating=4 data.path="$ml1m" model.embedding_dim=64,128 \
                     training.epochs=25 training.patience=6 "$@" ;;
tuned-ml-1m-4)   set -- model=sasrec,hybrid data=ml-1m data.min_rating=4 data.path="$ml1m" model.num_blocks=3 model.max_length=100 model.dropout=0.1 \
                     training.lr=0.0007837 training.weight_decay=0.06086 seed=10,11,12 -m "$@" ;;
controls-100k)   set -- sweeps=controls seed=10 study.seeds=5 $four data.path="$ml100k" "$@" ;;
controls-beauty) set -- sweeps=controls seed=10 data=sequences data.path="$beauty" model.dropout=0.5 "$@" ;;
controls-ml-1m-4) set -- sweeps=controls seed=10 study.seeds=1 data=ml-1m data.min_rating=4 data.path="$ml1m" "$@" ;;
fusions)         set -- sweeps=fusions seed=10 "$@" ;;
fusions-100k)    set -- sweeps=fusions seed=10 $four data.path="$ml100k" "$@" ;;
old-fusions)     set -- sweeps=fusions $old seed=10 "$@" ;;
old-fusions-100k) set -- sweeps=fusions $old seed=10 $four data.path="$ml100k" $tuned "$@" ;;
embeddings)      set -- +experiment=study/embeddings loss=unseen model.prior=popularity model.init=cooccurrence fusion=$all seed=10,11,12 -m "$@" ;;
embeddings-100k) set -- +experiment=study/embeddings loss=unseen model.prior=popularity fusion=$all seed=10,11,12 \
                     $four data.path="$ml100k" -m "$@" ;;
global-time)     set -- data.split=global_time seed=0,1,2 -m "$@" ;;
global-time-ml-1m) set -- +experiment=hybrid/ml-1m data.path="$ml1m" data.split=global_time seed=0,1,2 -m "$@" ;;
refit)           set -- evaluation.refit=true seed=0,1,2 -m "$@" ;;
counting)        set -- model=popularity,markov,item_knn,ease -m "$@" ;;
lightgcn)        set -- model=lightgcn seed=0,1,2 -m "$@" ;;
*)  echo "blocks of RESULTS.md:"; sed -n 's/^\([a-z0-9-]*\))  *set -- /  \1: /p' "$0" | sed 's/ "$@" ;;//; s/ \\$/ …/'
    [ -z "$block" ] || exit 2
    exit ;;
esac
exec python -m hybrid_seq_gnn "study.name=$block" "$@"
