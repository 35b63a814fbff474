/** A token read over HTTP with key and scope, against a route that does the least that could be called the same. */

import { readFile } from 'node:fs/promises'
import { Child } from './child.ts'
import { Connections, type Target } from './client.ts'
import { alternately, median, ms, percentile, perSecond, type Row } from './figures.ts'
import { accountRef, addAccounts, temporaryHome } from './furnish.ts'

const connections = 16
const accounts = 200
const roundMs = 1_000
const rounds = 7

export async function httpToken(): Promise<Row[]> {
  const home = await temporaryHome()
  const { settings } = home
  await addAccounts(settings, accounts)
  const [service, bare] = [new Child('service.ts'), new Child('bare-route.ts')]
  try {
    await service.ask('open', settings.home, settings.port)
    const key = (await readFile(settings.apiKeyPath, 'utf8')).trim()
    const path = `/v1/accounts/${accountRef(0).accountId}/token`
    const target: Target = { port: settings.port, path, key }
    const response = await fetch(`http://127.0.0.1:${settings.port}${path}`, {
      headers: { authorization: `Bearer ${key}` },
    })
    const barePort = await bare.ask<number>('open', key, path, await response.text())
    const [toService, toBare] = [
      await Connections.open(target, connections),
      await Connections.open({ ...target, port: barePort }, connections),
    ]
    const costs = { service: [] as number[], bare: [] as number[] }
    const load = (name: keyof typeof costs, server: Child, clients: Connections) => async () => {
      const before = await server.ask<number>('cpuMs')
      const rate = await clients.throughput(roundMs)
      const used = (await server.ask<number>('cpuMs')) - before
      costs[name].push((used * 1_000) / (rate * (roundMs / 1_000)))
      return rate
    }
    const rates = await alternately(
      { service: load('service', service, toService), bare: load('bare', bare, toBare) },
      rounds,
    )
    const [rate, bareRate] = [median(rates.service), median(rates.bare)]
    const [cost, bareCost] = [median(costs.service), median(costs.bare)]

    const quiet = await toService.steady(200, 3_000)
    await service.ask('startRenewing', accounts, 100)
    const busy = await toService.steady(200, 8_000)
    const renewed = await service.ask<number>('stopRenewing')
    toService.close()
    toBare.close()
    return [
      {
        what: 'HTTP token read: processor time of the server',
        measured: `${cost.toFixed(1)} µs`,
        yardstick: `bare node:http ${bareCost.toFixed(1)} µs`,
        ratio: (bareCost / cost).toFixed(2),
        aim: '>= 0.7',
      },
      {
        what: `HTTP token reads, ${connections} connections`,
        measured: perSecond(rate),
        yardstick: `bare node:http ${perSecond(bareRate)}`,
        ratio: (rate / bareRate).toFixed(2),
        aim: '>= 0.7',
      },
      {
        what: `HTTP token read at 200/s while ${renewed.toFixed(0)} renewals/s run`,
        measured: `p50 ${ms(median(busy))}, p99 ${ms(percentile(busy, 99))}`,
        yardstick: `no renewals: p99 ${ms(percentile(quiet, 99))}`,
        ratio: (percentile(busy, 99) / percentile(quiet, 99)).toFixed(1),
        aim: 'p99 < 5 ms',
      },
    ]
  } finally {
    await service.end()
    await bare.end()
    await home.remove()
  }
}
