"""Names under which an estimator carries what tracking needs to know."""

# Where its next run goes, on a clone that was not fitted yet.
DESTINATION_ATTRIBUTE = "_tracking_destination"
# The run of its last fit. It does not survive pickling, ...
RUN_ATTRIBUTE = "_tracked_run"
# ... while this one does, by which the run is found again.
TICKET_ATTRIBUTE = "_run_ticket"
