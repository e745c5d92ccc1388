export { rejection } from '../../lib/testing/contract/rejection.ts'
