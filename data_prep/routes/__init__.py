"""The route bank: sampled from any model, labelled, composed into sets, judged, and harvested from.

Serves design.md, sections MRPV and Guided CoT distillation (item 7), and EAAI (harvest).
"""
