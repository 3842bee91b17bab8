"""Names of the attributes that tracking sets on estimators."""

# The destination of its next run, on a clone that was not fitted yet.
DESTINATION_ATTRIBUTE = "_tracking_destination"
# The run of its last fit, which is not pickled, ...
RUN_ATTRIBUTE = "_tracked_run"
# ... and the ticket of that run, which is.
TICKET_ATTRIBUTE = "_run_ticket"
