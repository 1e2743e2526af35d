"""Predicting what each customer would invest in each fund: P(convert) x E(amount | convert) for every pair.

==================  =========================================================================
module              idea
==================  =========================================================================
``schema``          which columns there are, and how they become integers and floats
``data``            the exposure log on the device; batches are index slices
``networks``        embeddings, the shared bottom, a first layer that splits into two sides
``experts``         a mixture of experts in its place, for MMoE
``heads``           small towers: conversion, log-normal amount, amount
``losses``          log-likelihoods of a zero-inflated log-normal amount, squared errors
``methods``         one short file a method: its heads, its bounds and its loss
``model``           ``RevenueModel``, the LightningModule around a method; ``description`` puts it in words
``training_hooks``  what it does in a Trainer's hands
``steps``           training on a block of batches; on a GPU a recorded step (``_graphs``)
``exposure_model``  which fund a customer is shown
``propensity``      the weights that undo who was shown what
``exposure_score``  how much the platform prefers a fund for a customer
``adjustment``      from the pairs that were shown to all pairs: the default debiasing
``doubly_robust``   a target that adds what a first model believes of pairs not shown
``metrics``         what is measured on validation rows, as torchmetrics
``degeneracy``      what metrics show to be wrong with a model, in words
``training``        ``fit``: a thin Trainer with early stopping, checkpoints and a history
``storage``         a model in one file, read without running code
``calibration``     Platt scaling of P and a total-ratio correction of E, stored with the model
``revenue``         ``expected_revenue``: the (U, F) matrix that allocation works on
==================  =========================================================================

Nothing here is imported with the package: torch and Lightning load with the module that uses them.
"""
