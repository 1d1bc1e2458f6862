"""What only people can state of a model: the keys of ``card`` in a task, which the model card prints."""

from pydantic import Field

from salus.settings import Strict


class Card(Strict):
    """Statements for the model card; whatever is blank is printed there as not provided."""

    developer: str | None = Field(default=None, description="name and contact of who developed it")
    funding: str | None = Field(default=None, description="who paid for it")
    intended_use: str | None = Field(default=None, description="what it is for")
    intended_population: str | None = Field(default=None, description="for which patients")
    intended_users: str | None = Field(default=None, description="who is to use it")
    decision_role: str | None = Field(default=None, description="informs, augments or replaces a decision")
    out_of_scope: str | None = Field(default=None, description="tasks, situations, people it should not be used for")
    cautions: str | None = Field(default=None, description="known risks and limitations")
    training_relevance: str | None = Field(default=None, description="why the training data fit the setting")
    fairness_approach: str | None = Field(default=None, description="how its output was made fair")
    bias_management: str | None = Field(default=None, description="how bias is managed, reduced or removed")
    external_data: str | None = Field(default=None, description="other data or settings that it was tested in")
    external_party: str | None = Field(default=None, description="who tested it there")
    external_people: str | None = Field(default=None, description="whom those data represent")
    external_process: str | None = Field(default=None, description="how it was tested there")
    external_validity: str | None = Field(default=None, description="how valid it was there")
    external_fairness: str | None = Field(default=None, description="how fair it was there")
    outcome_evaluations: str | None = Field(default=None, description="studies of what its use did to outcomes")
    validity_monitoring: str | None = Field(default=None, description="how and how often validity is monitored")
    fairness_monitoring: str | None = Field(default=None, description="how and how often fairness is monitored")
    update_process: str | None = Field(default=None, description="how and how often it is updated")
    correction_frequency: str | None = Field(default=None, description="how often its performance is corrected")

    @property
    def stated(self) -> dict[str, str]:
        """The statements that were made, by key, in the order above."""
        return {name: said for name, said in self.model_dump().items() if said and said.strip()}
