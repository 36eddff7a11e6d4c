"""A rollout server's worker on CPUs that says which experts it chose for every token.

vLLM can return them by itself (`--enable-return-routed-experts`), but only where its newer model
runner works, which needs Triton: on GPUs. On CPUs its hooks in the routers and its way from the
scheduler to the answer are there all the same, and only what lies between the two is missing.
rl/sampling/server.py starts such a server with both classes of this file.

Relies on vLLM 0.32 computing whole prompts, and sampling from each step before the next.
"""

from typing import Any

import torch
from vllm.distributed.aux_output_connector.connector import (
    AuxOutputSchedulerConnector,
    AuxRequestOutput,
)
from vllm.model_executor.layers.fused_moe.routed_experts_capturer import (
    RoutedExpertsCapturer,
    bind_routed_experts_capturer,
)
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.worker.cpu_worker import CPUWorker


class RoutesScheduler(Scheduler):
    """Asks the worker for the chosen experts, and puts them into the answers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.aux_output_connector = AuxOutputSchedulerConnector()


class RoutesWorker(CPUWorker):
    """Adds the chosen experts to what each step gives the scheduler."""

    _capturer: RoutedExpertsCapturer
    _step: Any = None  # vLLM's SchedulerOutput of the step that is not sampled from yet

    def load_model(self, *arguments: Any, **options: Any) -> None:
        super().load_model(*arguments, **options)
        most = self.vllm_config.scheduler_config.max_num_batched_tokens
        self._capturer = RoutedExpertsCapturer(most, self.vllm_config)
        bind_routed_experts_capturer(self.model_runner.get_model(), self._capturer)

    def execute_model(self, scheduler_output: Any) -> Any:
        self._step = scheduler_output
        return super().execute_model(scheduler_output)

    @torch.inference_mode()
    def sample_tokens(self, grammar_output: Any) -> Any:
        output: Any = super().sample_tokens(grammar_output)
        output.aux_output_connector_output = self._routes()
        return output

    def _routes(self) -> dict[str, AuxRequestOutput]:
        """By request: the experts of every token of the step that it has not been told before."""
        scheduled = self._step.num_scheduled_tokens
        news = self._step.aux_output_connector_metadata.requests  # the first token to tell of
        rows = self._capturer.snapshot_routing_data(self._step.total_num_scheduled_tokens).numpy()
        batch = self.model_runner.input_batch
        found, end = {}, 0
        for index, request in enumerate(batch.req_ids):
            begin, end = end, end + scheduled[request]
            first = int(batch.num_computed_tokens_cpu[index])  # of the step
            start = news[request]
            found[request] = AuxRequestOutput(start, rows[begin + start - first : end])
        return found
