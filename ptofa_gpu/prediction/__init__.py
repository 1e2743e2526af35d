"""Predicting what each customer would invest in each fund: P(convert) x E(amount | convert) for every pair.

==================  =========================================================================
module              idea
==================  =========================================================================
``schema``          which columns there are, and how they become integers and floats
``data``            the exposure log on the device; batches are index slices
``networks``        embeddings, the shared bottom, a first layer that splits into two sides
``losses``          log-likelihoods of a zero-inflated log-normal amount, in log space
``methods``         one short file a method: its heads, its bounds and its loss
``model``           ``RevenueModel``, the LightningModule around a method
``metrics``         what is measured on validation rows, as torchmetrics
``training``        ``fit``: a thin Trainer with early stopping, checkpoints and a history
``calibration``     Platt scaling of P and a total-ratio correction of E, stored with the model
``revenue``         ``expected_revenue``: the (U, F) matrix that allocation works on
==================  =========================================================================

Nothing here is imported with the package: torch and Lightning load with the module that uses them.
"""
