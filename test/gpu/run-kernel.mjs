// One dispatch of a kernel on a device, for tests: in Node's child process and, by its text, in a page. `api` is
// dist/gpu/portable.js.

/** Returns the arena afterwards, as numbers of four bytes. */
export async function runKernel(api, gpu, { code, weights, arena, cache, parameters, x, y }) {
  const { device } = gpu;
  const { KERNEL_DATA, kernelLayout, parameterWords, READ_BACK, USAGE } = api;
  const fill = async (data, usage) => {
    const buffer = await gpu.allocate(data.byteLength, usage, 'a test');
    if (data.byteLength > 0) device.queue.writeBuffer(buffer, 0, data.buffer, data.byteOffset, data.byteLength);
    return buffer;
  };
  const whole = new Uint8Array(Math.ceil(weights.length / 16) * 16);
  whole.set(weights);
  const buffers = [
    await fill(whole, KERNEL_DATA),
    await fill(arena, KERNEL_DATA),
    await fill(cache, KERNEL_DATA),
    await fill(parameterWords(parameters), USAGE.uniform | USAGE.copyTo),
  ];
  const back = await gpu.allocate(arena.byteLength, READ_BACK, 'a test');
  try {
    await gpu.checked(async () => {
      const layout = kernelLayout(device);
      const module = device.createShaderModule({ code });
      const pipeline = await device.createComputePipelineAsync({
        layout: layout.pipeline,
        compute: { module, entryPoint: 'main' },
      });
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: layout.group, entries }));
      pass.dispatchWorkgroups(x, y);
      pass.end();
      encoder.copyBufferToBuffer(buffers[1], 0, back, 0, arena.byteLength);
      device.queue.submit([encoder.finish()]);
    });
    return new Uint32Array(await gpu.read(back, arena.byteLength));
  } finally {
    for (const buffer of [...buffers, back]) buffer.destroy();
  }
}
