# beam_registry.exs SECONDS: ETS, Elixir's Registry and one process that owns a map, under the loads of load_frame.h.
# Prints the same lines. CPU is the virtual machine's user time (erlang:statistics(runtime)), so that one busy process
# at a time is measured; p50 and p99 are not taken.
defmodule Load do
  @names 100_000
  @order 65_536
  @churned 10_000

  def name(number), do: "agent:" <> String.pad_leading(Integer.to_string(number), 10, "0")

  def order(names) do
    :rand.seed(:exsss, {1, 2, 3})
    for _ <- 1..@order, do: elem(names, :rand.uniform(tuple_size(names)) - 1)
  end

  # Runs `once`, which does `count` operations, until the time is over.
  def measure(backend, workload, bytes, seconds, count, once) do
    once.()
    {cpu, _} = :erlang.statistics(:runtime)
    wall = System.monotonic_time(:microsecond)
    rounds = repeat(once, wall + round(seconds * 1_000_000), 0)
    {cpu_end, _} = :erlang.statistics(:runtime)
    took = System.monotonic_time(:microsecond) - wall
    operations = rounds * count
    line = [backend, workload, 1, @names, round(operations * 1_000_000 / took),
            Float.round((cpu_end - cpu) * 1_000_000 / operations, 2), 0, 0, Float.round(bytes / @names, 1)]
    IO.puts(Enum.join(line, " "))
  end

  defp repeat(once, until, rounds) do
    once.()
    if System.monotonic_time(:microsecond) < until, do: repeat(once, until, rounds + 1), else: rounds + 1
  end

  def memory do
    :erlang.garbage_collect()
    :erlang.memory(:total)
  end

  def ets(names, order, churned, seconds) do
    before = memory()
    table = :ets.new(:names, [:set, :public, read_concurrency: true])
    for name <- Tuple.to_list(names), do: :ets.insert(table, {name, self()})
    bytes = memory() - before
    measure("ets", "uniform", bytes, seconds, @order, fn ->
      Enum.each(order, fn name -> [{_, _}] = :ets.lookup(table, name) end)
    end)
    measure("ets", "churn", bytes, seconds, 2 * @churned, fn ->
      Enum.each(churned, fn name -> true = :ets.insert_new(table, {name, self()}) end)
      Enum.each(churned, fn name -> true = :ets.delete(table, name) end)
    end)
    :ets.delete(table)
    find(names, seconds)
  end

  # The first 16 of those with one capability of 64.
  def find(names, seconds) do
    before = memory()
    table = :ets.new(:rows, [:set, :public, read_concurrency: true])
    for {name, at} <- Enum.with_index(Tuple.to_list(names)), do: :ets.insert(table, {name, self(), rem(at * 7, 64)})
    bytes = memory() - before
    measure("ets", "find", bytes, seconds, 64, fn ->
      Enum.each(0..63, fn capability ->
        {found, _} = :ets.match(table, {:"$1", :_, capability}, 16)
        16 = length(found)
      end)
    end)
    :ets.delete(table)
  end

  def registry(names, order, churned, seconds) do
    before = memory()
    {:ok, _} = Registry.start_link(keys: :unique, name: Names)
    # As agents do: many processes, each with some of the names.
    for some <- Enum.chunk_every(Tuple.to_list(names), 400), do: own(some)
    bytes = memory() - before
    measure("elixir_registry", "uniform", bytes, seconds, @order, fn ->
      Enum.each(order, fn name -> [{_, _}] = Registry.lookup(Names, name) end)
    end)
    measure("elixir_registry", "churn", bytes, seconds, 2 * @churned, fn ->
      Enum.each(Enum.chunk_every(churned, 64), fn some ->
        Enum.each(some, fn name -> {:ok, _} = Registry.register(Names, name, nil) end)
        Enum.each(some, fn name -> :ok = Registry.unregister(Names, name) end)
      end)
    end)
  end

  defp own(names) do
    parent = self()
    spawn_link(fn ->
      for name <- names, do: {:ok, _} = Registry.register(Names, name, nil)
      send(parent, :owned)
      Process.sleep(:infinity)
    end)
    receive do: (:owned -> :ok)
  end

  def process(names, order, seconds) do
    before = memory()
    {:ok, owner} = Agent.start_link(fn -> Map.new(Tuple.to_list(names), fn name -> {name, self()} end) end)
    bytes = memory() - before
    some = Enum.take(order, 4096)
    measure("one_process", "uniform", bytes, seconds, 4096, fn ->
      Enum.each(some, fn name -> true = is_pid(Agent.get(owner, &Map.fetch!(&1, name))) end)
    end)
  end

  def run(seconds) do
    names = List.to_tuple(for number <- 0..(@names - 1), do: name(number))
    order = order(names)
    churned = for number <- @names..(@names + @churned - 1), do: name(number)
    ets(names, order, churned, seconds)
    process(names, order, seconds)
    registry(names, order, churned, seconds)
  end
end

[seconds] = System.argv()
Load.run(String.to_float(seconds))
